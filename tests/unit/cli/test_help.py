"""The help that a newcomer reads, and what a typo is answered with."""

import pytest

from mmran.cli import STAGES, VERBS, _parsers, build_parser, main

NAMES = [verb.name for verb in VERBS]


def test_every_verb_is_listed_once_under_its_stage() -> None:
    text = build_parser().format_help()
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    for verb in VERBS:
        assert sum(line.split()[0] == verb.name and line.endswith(verb.help) for line in lines) == 1, verb.name
    headings = [line.rstrip(":") for line in text.splitlines() if line.rstrip(":") in STAGES]
    assert headings == list(STAGES)


@pytest.mark.parametrize("name", ["plan", "train", "predict", "search", "search-report", "run"])
def test_a_verb_says_what_it_reads_and_writes_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "\nreads:   " in text
    assert "\nwrites:  " in text
    assert f"\nexample: mmran {name} " in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "mmran: error: no verb 'trian'; did you mean 'train'? known: accept, "),
        (["show", "x", "--verbos"], "mmran show: error: unrecognized arguments: --verbos"),
        (["plan", "--sauce", "x"], "unrecognized arguments: --sauce x; did you mean --source?"),
        (["run", "--cpus", "0"], "argument --cpus: 0: expected an integer of at least 1"),
        (["run", "--gpus", "some"], "argument --gpus: some: expected an integer of at least 0"),
        (["train", "--threads", "0"], "argument --threads: 0: expected an integer of at least 1"),
    ],
)
def test_a_typo_is_answered_with_what_was_meant(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_missing_configuration_file_of_a_run_is_one_line_before_ray_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / "demo.yaml").touch()  # type: ignore[operator]
    assert main(["run", "--", "snakemake", "--configfile", "dmeo.yaml", "--cores", "1"]) == 1
    assert capsys.readouterr().err == "mmran run: --configfile dmeo.yaml: no such file; did you mean demo.yaml?\n"


def test_no_option_of_a_verb_hides_one_of_the_program() -> None:
    parser, verbs = _parsers()
    shared = {action.dest for action in parser._actions} - {"help", "verb"}
    for name, verb in verbs.items():
        assert not shared & {action.dest for action in verb._actions}, name

"""One network, one optimizer, Dice and focal loss under a schedule of task weights (sections 3.3 and 3.4)."""

import torch
from torch import Tensor

from mmran.data.batches import Batch
from mmran.networks.output import NetworkOutput
from mmran.training.losses import compound_loss, dice_loss, focal_loss
from mmran.training.recipe import Recipe, Stage
from mmran.training.schedules import task_weights


class Multitask(Recipe):
    """Compound loss for networks with both tasks; the one loss that applies for networks with one (Eqs. 11-15)."""

    def begin(self, stage: Stage) -> None:
        """Make Adam over all parameters (section 4.2)."""
        training = self.experiment.training
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        fused = parameters[0].device.type == "cuda"
        self.optimizers = {"adam": torch.optim.Adam(parameters, lr=training.learning_rate, fused=fused)}

    def values(self, stage: Stage, epoch: int) -> dict[str, float]:
        """The weight of the classification loss, for a network with both tasks."""
        return {"alpha": self._alpha(stage, epoch)} if len(self.network.tasks) == 2 else {}

    def _alpha(self, stage: Stage, epoch: int) -> float:
        return task_weights(self.experiment.schedule, epoch, stage.epochs).classification

    def step(self, batch: Batch, stage: Stage, epoch: int) -> dict[str, Tensor]:
        """One step of Adam on one batch, computed in `accumulate` parts."""
        alpha, optimizer = self._alpha(stage, epoch), self.optimizers["adam"]
        optimizer.zero_grad(set_to_none=True)
        totals: dict[str, Tensor] = {}
        n = len(batch.labels)
        parts = min(self.experiment.training.accumulate, n)
        for images, masks, labels in zip(*(t.tensor_split(parts) for t in batch), strict=True):
            with self.autocast():
                output = self.forward(images, stage)
            losses = self._losses(output, masks, labels, alpha)
            share = len(labels) / n
            (losses["loss"] * share).backward()
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value.detach() * share
        optimizer.step()
        return totals

    def forward(self, images: Tensor, stage: Stage) -> NetworkOutput:
        """What the losses of a stage are computed on."""
        output: NetworkOutput = self.network(images)
        return output

    def _losses(self, output: NetworkOutput, masks: Tensor, labels: Tensor, alpha: float) -> dict[str, Tensor]:
        """Loss name -> scalar, the total first."""
        options, parts = self.experiment.loss, {}
        if output.mask_logits is not None:
            parts["dice_loss"] = dice_loss(output.mask_logits, masks, reading=options.dice)
        if output.class_logits is not None:
            heads = output.auxiliary or (output.class_logits,)
            losses = [focal_loss(head, labels, alpha=options.focal_alpha, gamma=options.focal_gamma) for head in heads]
            parts["focal_loss"] = torch.stack(losses).mean()
        if len(parts) == 2:
            return {"loss": compound_loss(parts["dice_loss"], parts["focal_loss"], alpha), **parts}
        (only,) = parts.values()
        return {"loss": only, **parts}

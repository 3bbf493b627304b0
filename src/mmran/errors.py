"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A mistake in the input, the configuration or the machine that the user can mend.

    Its text is one line naming the file or key, the value found, what was expected and the remedy. The command
    line prints it without a traceback and exits with 1; every other exception is a defect of mmran.
    """

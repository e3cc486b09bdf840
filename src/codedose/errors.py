"""What can be wrong outside the program: one class per exit code, one clear sentence each."""


class CodedoseError(Exception):
    """Something a person can mend. The text names the file, the place and the mend."""

    exit_code = 2


class StudyError(CodedoseError):
    """A study file, or a command, that asks for something that cannot be done."""


class DataError(CodedoseError):
    """A data file that cannot be read, or a table that is not what it should be."""


class MachineError(CodedoseError):
    """This machine lacks what the work needs: a model, a package, memory, disk."""

    exit_code = 4

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


class OutOfMemory(MachineError):
    """This machine's memory does not suffice, with as little at once as can be."""


class Killed(MachineError):
    """A process of the work was killed from outside, as a system does that takes memory back."""

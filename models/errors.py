"""Errors that callers distinguish. Both are ValueErrors, whose message is written for users."""


class WrongFile(ValueError):
    """A file is of another kind than expected, damaged, or incomplete. Never raised for an error in the pack's own code."""


class DoesNotFit(ValueError):
    """A valid file was made for another model than the one it is applied to."""

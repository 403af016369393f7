"""Errors that callers tell apart; both are ValueErrors, so that a user reads them as a sentence."""


class WrongFile(ValueError):
    """A file is not what was expected: of another kind, damaged, or incomplete. The file is at fault, never the pack."""


class DoesNotFit(ValueError):
    """A sound file was made for another model than the one it is put on."""

"""The error tree: what callers of the scanner may have to tell apart.

    ScannerError
    ├── UsageError            the command line or a setting is wrong
    │   └── SettingsError     a setting is missing or does not fit
    ├── InputError            a file or stream cannot be read as Kubernetes objects
    ├── ClusterError          the API server cannot be used at all
    │   ├── UnreachableError  no answer
    │   └── ForbiddenError    an answer, but no identity
    ├── PolicyError           a policy file is wrong
    ├── StoreError            the database refused
    │   ├── StoreUnreachableError  no answer
    │   └── SchemaError       the database is not at the schema that this release needs
    ├── ScanRunningError      a scan of this cluster is under way
    ├── ScanStoppedError      a scan was told to stop, or given up by others, before it was stored
    └── DeliveryError         a destination is set up in a way that can never deliver

Expected outcomes are values, not errors: a kind that may not be listed is a `Read` in the coverage, a failed delivery
is a value that says when to try again.
"""


class ScannerError(Exception):
    """Something went wrong that the caller can't go on from; the message is one line that says what to do."""


class UsageError(ScannerError):
    """The command line asks for something that does not exist."""


class SettingsError(UsageError):
    """A setting is missing or does not fit; the message names it."""


class InputError(ScannerError):
    """A file or stream cannot be read as Kubernetes objects; the message names it."""


class ClusterError(ScannerError):
    """The API server cannot be used; the message names its address."""


class UnreachableError(ClusterError):
    """The API server does not answer."""


class ForbiddenError(ClusterError):
    """The API server answers, but does not accept our identity."""


class PolicyError(ScannerError):
    """A policy file is wrong; the message names file, line and field."""


class StoreError(ScannerError):
    """The database refused a statement or cannot be reached."""


class StoreUnreachableError(StoreError):
    """The database does not answer."""


class SchemaError(StoreError):
    """The database is not at the schema that this release needs: run `plimsoll db upgrade`."""


class ScanRunningError(ScannerError):
    """A scan of this cluster is under way; two at once would undo each other's findings."""


class ScanStoppedError(ScannerError):
    """A scan was told to stop, or was given up as dead by another process, before it was stored."""


class DeliveryError(ScannerError):
    """A destination is set up in a way that can never deliver; the message names it."""

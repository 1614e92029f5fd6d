"""The TLS settings of outgoing requests."""

import ssl


def client_context() -> ssl.SSLContext:
    """Return a context that verifies name and chain against the system's CAs (and SSL_CERT_FILE), TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

"""The local endpoint that SDKs speak to: what was asked, who answers it, and how it is signed."""

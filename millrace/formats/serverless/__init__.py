"""serverless.yml, versions 1 to 3 of the Serverless Framework: variables, then each section in millrace.yml's words."""

from millrace.formats.serverless.service import read

__all__ = ["read"]

"""The CEL libraries that Kubernetes adds to the language, as functions of the engine."""

from cel_expr_python import cel

FUNCTIONS: list[cel.FunctionDecl] = []

"""The mind: language-model engines, the history they are given, and the small responder that stands in for one."""

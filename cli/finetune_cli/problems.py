"""What a command line may get wrong before anything is read."""


class Unusable(Exception):
    """The arguments do not fit together; the text says what to do."""


class UnusableManifest(Exception):
    """The file does not hold what is needed; `problems` are for people, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems[0])
        self.problems = problems

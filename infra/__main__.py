from infra import lazy

lazy.install()

from infra.program import main  # noqa: E402 - what is imported from here on is imported thriftily

main()

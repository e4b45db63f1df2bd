"""The command ``vizcnn``: its subcommands, and how errors end."""

import sys
from typing import Any

import click

import vizcnn
from vizcnn.basics.errors import VizcnnError, advise, nearest_names
from vizcnn.cli.ablate_command import ablate
from vizcnn.cli.aliasing_command import aliasing
from vizcnn.cli.check_command import check
from vizcnn.cli.compare_command import compare
from vizcnn.cli.correspond_command import correspond
from vizcnn.cli.deconv_command import deconv
from vizcnn.cli.evolve_command import evolve
from vizcnn.cli.explore_command import explore
from vizcnn.cli.filters_command import filters
from vizcnn.cli.gallery_command import gallery
from vizcnn.cli.index_command import index
from vizcnn.cli.invariance_command import invariance
from vizcnn.cli.lecture_command import lecture
from vizcnn.cli.mining_commands import merge, mine
from vizcnn.cli.occlude_command import occlude
from vizcnn.cli.probe_command import probe
from vizcnn.cli.quiz_command import quiz
from vizcnn.cli.receptive_command import receptive
from vizcnn.cli.reporting import telling_of_memory, telling_warnings
from vizcnn.cli.start import FAILED, stop, stop_interrupted
from vizcnn.cli.train_command import train
from vizcnn.cli.zeiler_fergus_command import zeiler_fergus
from vizcnn.cli.zoo_commands import models, weights


class Commands(click.Group):
    """A group that suggests the nearest command and reports every error in one line."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line and exit with its status."""
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(FAILED)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "vizcnn"
            stop(f"{error.format_message()} (see {where} --help)", FAILED)
        except click.ClickException as error:
            stop(error.format_message(), FAILED)
        except VizcnnError as error:
            stop(str(error), FAILED)
        except (click.Abort, KeyboardInterrupt) as interrupt:
            stop_interrupted(interrupt.__cause__ or interrupt)
        except OSError as error:  # a full disk, a file that may not be written
            stop(f"{error}: {advise(error)}", FAILED)
        except MemoryError:  # none is left even to say how much
            stop("not enough memory", FAILED)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would print an empty line for a Ctrl-C, and forget the signal."""
        try:
            with telling_warnings(), telling_of_memory(ctx):
                return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise click.Abort from interrupt

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}: {nearest_names(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(vizcnn.__version__, prog_name="vizcnn")
def commands() -> None:
    """See what a convolutional network sees.

    Start with `vizcnn deconv`: it projects the strongest units of a trained ZFNet on a sample
    photo back to pixels and writes a gallery that opens in any browser.
    """


for command in (
    *(deconv, gallery, check, compare, filters, aliasing, lecture, receptive),
    ablate,
    correspond,
    evolve,
    explore,
    invariance,
    occlude,
    probe,
    quiz,
    zeiler_fergus,
    *(mine, merge, index, models, weights, train),
):
    commands.add_command(command)

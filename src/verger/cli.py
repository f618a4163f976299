"""The command line: options to one call, errors to exit codes.

Exit codes: 0 done, 1 a failure of the work, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, fields
from typing import Any

import click

from verger._version import __version__
from verger.errors import UsageError, VergerError
from verger.settings import Settings, option_name

EPILOG = "Exit codes: 0 done, 1 a failure of the work, 2 wrong usage, 130 interrupted."


class _Commands(click.Group):
    """Commands in the order in which a newcomer needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="verger")
def cli() -> None:
    """Fruit photos to MobileNetV2 features and principal components.

    \b
    Try it:
      verger sample photos            draw a sample collection
      verger run photos out           features and components, in Parquet
      verger inspect out              what came out
    """


def _with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each setting; values stay text, `Settings.resolve` checks them."""
    for setting in reversed([f for f in fields(Settings) if f.metadata]):
        text = setting.metadata["help"]
        if isinstance(setting.default, bool):
            extra: dict[str, Any] = {"is_flag": True, "default": None}
        else:
            extra = {"metavar": setting.metadata["metavar"]}
            if isinstance(setting.default, str | int | float):
                text += f" [default: {setting.default}]"
        command = click.option(option_name(setting.name), setting.name, help=text, **extra)(command)
    return command


_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
)


@cli.command(epilog=EPILOG)
@click.argument("photos")
@click.argument("out")
@_with_settings
@click.option("--config", metavar="FILE", help="Read settings from [run] of this TOML file.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress; errors are still told.")
@_json_option
def run(
    photos: str, out: str, config: str | None, quiet: bool, as_json: bool, **options: Any
) -> None:
    """Turn PHOTOS into features and principal components in OUT.

    PHOTOS is a folder of any depth, or a manifest: a .csv or .parquet file with a 'path' column and
    optionally 'label' and 'split'. Every photo ends up in OUT/features or, with the reason, in
    OUT/rejected.

    Run the same command again to go on after an interruption, or to add new photos: only what is
    missing is computed. Any option can also be given as VERGER_<NAME> in the environment, or in the
    [run] table of verger.toml.
    """
    from verger import pipeline, progress

    settings = Settings.resolve(photos, out, file=config, **options)
    reporter = progress.for_stream(quiet)
    try:
        with reporter or nullcontext():
            report = pipeline.run(settings, progress=reporter)
    except KeyboardInterrupt:
        click.echo(_interrupted(settings), err=True)
        raise
    if as_json:
        click.echo(json.dumps(asdict(report), indent=1))
    else:
        click.echo(_run_text(asdict(report), os.path.abspath(out)))


def _interrupted(settings: Settings) -> str:
    return (
        "\nstopped; finished chunks are kept in "
        f"{settings.out}. The same command goes on where this one stopped."
    )


def _run_text(report: dict[str, Any], out: str) -> str:
    counts, tables, pca = report["counts"], report["tables"], report["pca"]
    lines = [
        f"{counts['listed']:,} photos = {counts['featurised']:,} featurised "
        f"+ {counts['rejected']:,} rejected + {counts['reused']:,} reused"
    ]
    if report["rejections"]:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in report["rejections"].items())
        lines.append(f"rejected    {tables['rejected']:,}: {reasons}")
    rate = report["photos_per_second"]
    speed = f", {rate:,.0f} photos/s on {report['versions']['engine']}" if rate else ""
    lines.append(
        f"features    {tables['features']:,} x {report['backbone']['dimensions']:,}{speed}"
    )
    lines.append(
        f"components  {pca['components']:,} hold {pca['explained_variance']:.1%} of the variance"
    )
    lines.append(f"time        {report['timings']['total']:.1f} s")
    lines.append(f"results in  {out}")
    return "\n".join(lines)


@cli.command(epilog=EPILOG)
@click.option(
    "--engine", default="embedded", metavar="ENGINE", help="The engine to try, as for 'verger run'."
)
@click.option("--weights", metavar="FILE", help="The weights to try, as for 'verger run'.")
@_json_option
def doctor(engine: str, weights: str | None, as_json: bool) -> None:
    """Tell whether this machine is ready, with a trial run; exit code 1 if not."""
    from verger import doctor as doctors

    option = weights or os.environ.get("VERGER_WEIGHTS")
    findings = []
    for finding in doctors.examine(engine, option):
        findings.append(finding)
        if not as_json:
            mark = {True: "ok ", False: "NO ", None: "   "}[finding.ok]
            click.echo(f"{mark} {finding.name:<16} {finding.detail}")
    ready = all(finding.ok is not False for finding in findings)
    if as_json:
        document = {"ready": ready, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo("ready" if ready else "not ready: see the lines marked NO")
    sys.exit(0 if ready else 1)


@cli.command(epilog=EPILOG)
@click.option("--weights", metavar="FILE", help="As for 'verger run'.")
@click.option("--download", is_flag=True, help="Fetch the official weights into the cache.")
@click.option(
    "--accept-sha256",
    metavar="HEX",
    help="Accept a download with this SHA-256 instead of the pinned one, knowing what it is.",
)
@_json_option
def weights(weights: str | None, download: bool, accept_sha256: str | None, as_json: bool) -> None:
    """Show which weights are used and where they are looked for, best place first."""
    from verger import weights as places

    if accept_sha256 and not download:
        raise UsageError("--accept-sha256 goes with --download")
    if download:
        _download(accept_sha256)
    rows = [
        asdict(source) for source in places.sources(weights or os.environ.get("VERGER_WEIGHTS"))
    ]
    used = next((row["place"] for row in rows if row["present"]), None)
    document: dict[str, Any] = {"used": used, "sources": rows}
    if used:
        from pathlib import Path

        from verger import backbone

        loaded = backbone.load(Path(used))
        document["width"] = loaded.width
        document["dimensions"] = loaded.dimensions
        document["fingerprint"] = loaded.fingerprint
    click.echo(json.dumps(document, indent=1) if as_json else _weights_text(document))
    if used is None and not as_json:
        click.echo("none here: 'verger run' would download them; --download does it now")


def _download(accept_sha256: str | None) -> None:
    from verger import progress
    from verger import weights as places

    reporter = progress.for_stream(quiet=False)
    with reporter or nullcontext():
        begun = False

        def told(done: int, total: int | None) -> None:
            nonlocal begun
            if reporter and not begun:
                reporter.stage("Downloading weights", total)
                begun = True
            if reporter:
                reporter.update(done)

        places.download(sha256=accept_sha256, progress=told)


def _weights_text(document: dict[str, Any]) -> str:
    lines = []
    for row in document["sources"]:
        mark = "->" if row["place"] == document["used"] else "  "
        state = "" if row["present"] or row["kind"] == "download" else "  (not there)"
        lines.append(f"{mark} {row['kind']:<9} {row['place']}{state}")
    if document["used"]:
        lines.append(
            f"MobileNetV2 {document['width']:g}, {document['dimensions']:,} features, "
            f"fingerprint {document['fingerprint'][:16]}"
        )
    return "\n".join(lines)


@cli.command(epilog=EPILOG)
@click.argument("folder", metavar="DIR")
@click.option("--images", default=600, show_default=True, help="How many photos to draw.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other fruits.")
@_json_option
def sample(folder: str, images: int, seed: int, as_json: bool) -> None:
    """Draw a sample collection of fruits into DIR: DIR/<kind>/<photo>.jpg, as in Fruits-360."""
    from pathlib import Path

    from verger import progress, sample

    reporter = progress.for_stream(quiet=as_json)
    with reporter or nullcontext():
        if reporter:
            reporter.stage("Drawing photos", images)
        kinds = sample.write_collection(
            Path(folder), images, seed=seed, progress=reporter.update if reporter else None
        )
    if as_json:
        click.echo(json.dumps({"folder": os.path.abspath(folder), "kinds": kinds}, indent=1))
    else:
        click.echo(f"{sum(kinds.values()):,} photos of {len(kinds)} kinds in {folder}")


@cli.command(epilog=EPILOG)
@click.argument("out")
@click.argument("file")
@click.option("--features", is_flag=True, help="Export the features instead of the components.")
@_json_option
def export(out: str, file: str, features: bool, as_json: bool) -> None:
    """Write OUT's components with their labels into FILE (.csv, .parquet or .npz)."""
    from pathlib import Path

    from verger import outputs, paths, progress

    reporter = progress.for_stream(quiet=as_json)
    with reporter or nullcontext():
        if reporter:
            reporter.stage("Exporting rows")
        rows = outputs.export(
            paths.local_path(out, "OUT"),
            Path(file),
            features=features,
            progress=reporter.update if reporter else None,
        )
    what = "features" if features else "pca"
    if as_json:
        click.echo(json.dumps({"file": os.path.abspath(file), "rows": rows, "column": what}))
    else:
        click.echo(f"{rows:,} rows of {what} in {file}")


@cli.command(epilog=EPILOG)
@click.argument("out")
@_json_option
def inspect(out: str, as_json: bool) -> None:
    """Show what a run holds: counts, throughput, variance, rejections by reason."""
    from verger import outputs, paths

    report = outputs.summary(paths.local_path(out, "OUT"))
    click.echo(json.dumps(report, indent=1) if as_json else _inspect_text(report))


def _inspect_text(report: dict[str, Any]) -> str:
    from verger.paths import printable

    lines = [f"status      {report['status']}"]
    rows = ", ".join(f"{n:,} {table}" for table, n in report["rows"].items())
    if report.get("pca"):
        lines.append(_run_text(report, report["out"]))
        pca = report["pca"]
        first = ", ".join(f"{share:.1%}" for share in pca["explained_by_component"][:5])
        lines.append(f"variance    {first} ... by component, fitted on {pca['fitted_on']:,} photos")
    lines.append(f"rows now    {rows}")
    if report["photos_per_second_per_slot"]:
        lines.append(f"speed       {report['photos_per_second_per_slot']:,.0f} photos/s a core")
    lines += [
        f"rejected    {printable(row['path'])}: {row['stage']}/{row['reason']}"
        for row in report["rejected_examples"]
    ]
    if report.get("finished"):
        lines.append(f"finished    {report['finished']}, Verger {report['versions']['verger']}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and exits with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli.main(arguments, prog_name="verger", standalone_mode=False)
        code = 0
    except UsageError as exc:
        code = _fail(str(exc), 2)
    except VergerError as exc:
        code = _fail(str(exc), 1)
    except click.UsageError as exc:
        exc.show()
        code = exc.exit_code
    except click.ClickException as exc:
        exc.show()
        code = 1
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except BrokenPipeError:
        # Who reads our output has left, as in `verger inspect OUT | head`: not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> int:
    click.echo(f"verger: {message}", err=True)
    return code

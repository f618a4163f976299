"""The main job: the order of its stages, and nothing else."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verger import backbone as backbones
from verger import bundle, images, paths, pca, storage, versions, weights
from verger.backbone import Backbone
from verger.beats import Tally
from verger.engine import stages
from verger.engine.session import Engine, borrow, open_engine
from verger.engine.tasks import run_tasks
from verger.errors import BundleError, OutputError, SettingsError, TooManyRejected
from verger.features import extractor
from verger.images import Limits
from verger.inventory import Collection, open_collection
from verger.ledger import Ledger
from verger.pca import PCA
from verger.plan import Listing, chunk_name
from verger.progress import Progress, Silent
from verger.runreport import RunReport
from verger.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Statistics come to the driver in so many parts at most: 13 MB each at 1,280 features.
MOST_STATISTICS = 32
#: More leave slots idle for less at the end; fewer cost Apache Spark less to schedule, where a
#: task takes a tenth of a second to start.
CHUNKS_PER_SLOT = 16
CHUNKS_PER_THREAD = 48


@dataclass(frozen=True)
class _Job:
    """What the stages of one run have in common."""

    settings: Settings
    out: Path
    backbone: Backbone
    ledger: Ledger
    report: RunReport
    progress: Progress


def run(
    settings: Settings,
    *,
    progress: Progress | None = None,
    session: SparkSession | None = None,
) -> RunReport:
    """Photos in, features and principal components out.

    Parameters
    ----------
    settings : see `Settings.resolve`
    progress : told how far it is
    session : a Spark session to borrow instead of opening ``settings.engine``

    Returns
    -------
    the report, which ``OUT/run.json`` holds too

    Raises
    ------
    VergerError : see `verger.errors`; what was finished is kept, and the same call goes on there
    """
    progress = progress or Silent()
    report = RunReport(settings=asdict(settings))
    out = paths.local_path(settings.out, "OUT")
    collection = open_collection(settings)
    with report.timed("total"):
        with report.timed("backbone"):
            backbone = _load_backbone(settings, report, progress)
        projection = _load_projection(settings, backbone)
        identity = _identity(settings, collection, backbone)
        with Ledger(out, identity, fresh=settings.fresh) as ledger:
            job = _Job(settings, out, backbone, ledger, report, progress)
            listing = _list(job, collection)
            opened = (
                nullcontext(borrow(session, settings.parallelism))
                if session is not None
                else open_engine(settings.engine, settings.parallelism)
            )
            warming = threading.Thread(target=extractor, args=(backbone,), daemon=True)
            if session is None and settings.engine == "embedded":
                warming.start()  # tasks run in this process: open the network beside the engine
            with opened as engine:
                report.versions = versions.installed() | {"engine": engine.version}
                try:
                    _featurise(job, engine, listing)
                    _reduce(job, engine, projection)
                finally:
                    ledger.fold()  # ends the run: tasks that are still at work stop
    report.status = "complete"
    report.write(out)
    return report


def _load_backbone(settings: Settings, report: RunReport, progress: Progress) -> Backbone:
    started = False

    def told(done: int, total: int | None) -> None:
        nonlocal started
        if not started:
            progress.stage("Downloading weights", total)
            started = True
        progress.update(done)

    file = weights.find(settings.weights, told)
    backbone = backbones.load(file)
    if isinstance(settings.components, int) and settings.components > backbone.dimensions:
        raise SettingsError(
            f"--components {settings.components}: the backbone has {backbone.dimensions} features"
        )
    report.backbone = {
        "name": "mobilenetv2",
        "width": backbone.width,
        "dimensions": backbone.dimensions,
        "fingerprint": backbone.fingerprint,
        "weights": str(file),
    }
    return backbone


def _load_projection(settings: Settings, backbone: Backbone) -> PCA | None:
    if settings.pca_from is None:
        return None
    loaded = bundle.load(paths.local_path(settings.pca_from, "--pca-from"))
    if loaded.backbone_fingerprint != backbone.fingerprint:
        raise BundleError(
            f"--pca-from {settings.pca_from}: fitted on features of backbone "
            f"{loaded.backbone_fingerprint}, this run uses {backbone.fingerprint}"
        )
    return loaded.pca


def _identity(settings: Settings, collection: Collection, backbone: Backbone) -> dict[str, Any]:
    """What must not change between runs into one OUT."""
    return {
        "photos": str(collection.root),
        "layout": settings.layout,
        "max_megapixels": settings.max_megapixels,
        "max_megabytes": settings.max_megabytes,
        "backbone": backbone.fingerprint,
        "decoding": images.POLICY_VERSION,
    }


def _list(job: _Job, collection: Collection) -> Listing:
    def told() -> Iterator[Any]:
        for batch in collection.batches():
            yield batch
            job.progress.update(collection.listed)

    job.progress.stage("Listing photos")
    with job.report.timed("listing"):
        listing = job.ledger.compare(told(), prune=job.settings.prune)
    components = job.settings.components
    rows = listing.listed + sum(entry.featurised for entry in job.ledger.entries.values())
    if isinstance(components, int) and components > rows and job.settings.pca_from is None:
        raise SettingsError(f"--components {components}: there are only {listing.listed} photos")
    job.report.ignored = dict(collection.ignored)
    job.report.counts = {
        "listed": listing.listed,
        "featurised": 0,
        "rejected": 0,
        "reused": listing.reused,
        "changed": listing.changed,
        "removed": listing.removed,
        "retried": listing.retried,
        "unmatched": collection.unmatched,
    }
    if collection.unmatched:
        job.progress.note(
            f"{collection.unmatched:,} of {collection.listed:,} photos do not match layout "
            f"{job.settings.layout!r} and have no label, as {collection.examples[0]}"
        )
    if listing.removed:
        fate = "dropped" if job.settings.prune else "kept (--prune drops them)"
        job.progress.note(f"{listing.removed:,} photos are no longer there, their rows are {fate}")
    return listing


def _featurise(job: _Job, engine: Engine, listing: Listing) -> None:
    pending = listing.listed - listing.reused
    if listing.reused:
        job.progress.note(f"{listing.reused:,} photos are done already, {pending:,} to do")
    if pending:
        chunk = job.settings.chunk or choose_chunk(
            pending, engine.slots, in_process=engine.in_process
        )
        plan = job.ledger.plan(listing, chunk)
        work = stages.FeaturiseChunk(
            out=job.out,
            run_folder=job.ledger.run_folder,
            plan=plan,
            backbone=engine.share(job.backbone),
            limits=Limits(job.settings.max_megapixels, job.settings.max_megabytes),
            batch=job.settings.batch,
        )
        job.progress.stage("Photos to features", pending)
        with (
            job.report.timed("features"),
            _watched(job.ledger.run_folder, job.progress),
        ):
            rows = run_tasks(engine, len(plan.sizes), work, stages.LANDED_DDL)
        job.report.counts["featurised"] = sum(row["featurised"] for row in rows)
        job.report.counts["rejected"] = sum(row["rejected"] for row in rows)
        job.report.photos_per_second = round(pending / job.report.timings["features"], 2)
    job.ledger.absorb()
    _balance(job)
    _check_rejected(job)


def choose_chunk(photos: int, slots: int, *, in_process: bool = False) -> int:
    """Photos a chunk: enough chunks to keep all slots busy to the end, bounded by file size."""
    chunks = slots * (CHUNKS_PER_THREAD if in_process else CHUNKS_PER_SLOT)
    return min(8192, max(64, math.ceil(photos / chunks)))


def _balance(job: _Job) -> None:
    """Nothing vanishes: the books must balance, or the run has failed."""
    counts = job.report.counts
    entries = job.ledger.entries.values()
    job.report.tables = {
        "features": sum(entry.featurised for entry in entries),
        "rejected": sum(entry.rejected for entry in entries),
    }
    reasons: Counter[str] = Counter()
    for entry in entries:
        reasons.update(entry.reasons)
        if entry.featurised + entry.rejected + len(entry.dropped) != entry.rows:
            raise OutputError(f"chunk {entry.chunk} does not balance: {entry}")
    job.report.rejections = dict(reasons.most_common())
    if counts["listed"] != counts["featurised"] + counts["rejected"] + counts["reused"]:
        raise OutputError(
            f"the ledger does not balance: {counts}; expected listed = featurised + rejected "
            "+ reused. Run the same command again"
        )


def _check_rejected(job: _Job) -> None:
    rejected = job.report.tables["rejected"]
    photos = rejected + job.report.tables["features"]
    if rejected <= job.settings.max_rejected * photos:
        return
    job.report.status = "too many rejected"
    job.report.write(job.out)
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in job.report.rejections.items())
    raise TooManyRejected(
        f"{rejected:,} of {photos:,} photos were rejected ({reasons}), more than --max-rejected "
        f"{job.settings.max_rejected:g} allows; {job.out / 'rejected'} lists them. Mend them and "
        "run again, or raise --max-rejected: finished photos are not computed again"
    )


def _reduce(job: _Job, engine: Engine, projection: PCA | None) -> None:
    """Fit the components over all features, project them, save the bundle."""
    chunks = [entry.chunk for entry in job.ledger.entries.values() if entry.featurised]
    files = tuple(job.out / "features" / chunk_name(chunk) for chunk in sorted(chunks))
    with job.report.timed("pca"):
        fitted = projection or _fit(job, engine, files)
        folder = _subfolder(job, "projection")
        target = _subfolder(job, "pca")
        work = stages.ProjectFile(files, target, engine.share(fitted), folder)
        job.progress.stage("Projecting", job.report.tables["features"])
        with _watched(folder, job.progress):
            rows = run_tasks(engine, len(files), work, stages.PROJECTED_DDL)
        job.report.tables["pca"] = sum(row["rows"] for row in rows)
        if job.report.tables["pca"] != job.report.tables["features"]:
            raise OutputError(f"rows differ after projection: {job.report.tables}")
        storage.replace_folder(target, job.out / "pca")
        details = {"pca_from": job.settings.pca_from, "preprocessing": "RGB, bicubic, x/127.5-1"}
        bundle.save(job.out / "model", fitted, job.backbone, details=details)
    explained = fitted.explained
    job.report.pca = {
        "components": len(explained),
        "explained_variance": round(float(explained.sum()), 6),
        "explained_by_component": [round(float(share), 6) for share in explained],
        "fitted_on": fitted.count,
        "from": job.settings.pca_from,
    }


def _fit(job: _Job, engine: Engine, files: tuple[Path, ...]) -> PCA:
    groups = min(len(files), engine.slots, MOST_STATISTICS)
    folder = _subfolder(job, "statistics")
    dimensions = job.backbone.dimensions
    work = stages.SumUp(files, groups, dimensions, folder)
    job.progress.stage("Statistics", job.report.tables["features"])
    with _watched(folder, job.progress):
        rows = run_tasks(engine, groups, work, stages.STATISTICS_DDL)
    parts = (stages.unpack_statistics(row, dimensions) for row in rows)
    return pca.fit(pca.merge(parts, dimensions), job.settings.components)


def _subfolder(job: _Job, name: str) -> Path:
    folder = job.ledger.run_folder / name
    folder.mkdir()
    return folder


@contextmanager
def _watched(folder: Path, progress: Progress) -> Iterator[None]:
    """Pass on how far the tasks of a stage are, while the engine works."""
    over = threading.Event()
    tally = Tally(folder)

    def watch() -> None:
        while not over.wait(0.5):
            progress.update(*tally.total())

    watcher = threading.Thread(target=watch, name="verger-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    progress.update(*tally.total())

//! Runs plans: parts at the same time, bounded over all queries, stopped when nobody waits.

use crate::cells::Cells;
use crate::error;
use crate::limits::{SPLIT_ROWS_MIN, SPLITS_MAX, Settings};
use crate::plan::{self, Group, Source, Sum};
use crate::predicate::Predicate;
use crate::sum_scan::File;
use arrow::array::RecordBatch;
use datafusion_execution::TaskContext;
use datafusion_physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{Part, Samples};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use views::{Progress, ViewError};

/// Runs the plans of one query.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) context: Arc<TaskContext>,
    pub(crate) permits: Arc<Semaphore>,
    /// What one query may take.
    pub(crate) limits: Settings,
    /// What whoever waits is told.
    pub(crate) progress: Arc<Progress>,
}

/// Which rows of which part.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Position of the part in the snapshot.
    pub(crate) at: usize,
    pub(crate) part: Part,
    pub(crate) predicate: Predicate,
}

/// The sums of a part, which is named by its position in the snapshot.
pub(crate) type PartSums = Result<(usize, Cells), ViewError>;

impl Scanner {
    /// Sums by group of all parts; each answer names its part.
    pub(crate) async fn sums(
        &self,
        jobs: Vec<Job>,
        group: Group,
        sum: Sum,
    ) -> Result<Vec<(usize, Cells)>, ViewError> {
        self.each_part(jobs, group, sum).await?.try_collect().await
    }

    /// Sums by group, one part after the other in the order of the jobs, so that whoever needs them
    /// only once never has those of all parts. Some parts are read ahead.
    pub(crate) async fn each_part(
        &self,
        jobs: Vec<Job>,
        group: Group,
        sum: Sum,
    ) -> Result<impl Stream<Item = PartSums> + use<>, ViewError> {
        let mut parts = Vec::with_capacity(jobs.len());
        for job in jobs {
            let sources = self.sources(&job.part).await?;
            self.expect(sources.iter().map(|source| source.rows(&job.predicate)).sum())?;
            parts.push((job, sources));
        }
        let groups = Arc::new(AtomicUsize::new(0));
        let scanner = self.clone();
        let sums = move |(job, sources)| {
            scanner.clone().part_sums(job, sources, group, sum, Arc::clone(&groups))
        };
        Ok(stream::iter(parts).map(sums).buffered(self.limits.scans_max.max(1)))
    }

    /// Sums of one part, its pieces at the same time; `groups` counts those of all parts.
    async fn part_sums(
        self,
        Job { at, predicate, .. }: Job,
        sources: Vec<Source>,
        group: Group,
        sum: Sum,
        groups: Arc<AtomicUsize>,
    ) -> PartSums {
        let mut tasks = JoinSet::new();
        for source in sources {
            let (scanner, groups) = (self.clone(), Arc::clone(&groups));
            let rows = source.rows(&predicate);
            let plan = plan::sums(&source, &predicate, group, sum).map_err(error::plan)?;
            tasks.spawn(async move {
                let mut cells = Cells::default();
                let most = scanner.limits.groups_max;
                let add = |batch: RecordBatch| {
                    // Before they take memory, and whichever piece they are from.
                    let more = batch.num_rows();
                    if groups.fetch_add(more, Ordering::Relaxed) + more > most {
                        return Err(error::groups(most));
                    }
                    cells.add(batch, group.keys())
                };
                scanner.run(&plan, add).await?;
                scanner.progress.advance(rows);
                Ok(cells)
            });
        }
        Ok((at, joined(tasks).await?))
    }

    /// Rows that are about to be looked through.
    fn expect(&self, rows: u64) -> Result<(), ViewError> {
        self.progress.expect(rows);
        if self.progress.rows().1 > self.limits.query_rows_max {
            return Err(error::rows(self.limits.query_rows_max));
        }
        Ok(())
    }

    /// The rows of one part, at most `rows_max`.
    pub(crate) async fn rows(
        &self,
        job: Job,
        columns: &'static [&'static str],
        rows_max: usize,
    ) -> Result<Vec<RecordBatch>, ViewError> {
        let mut tasks = JoinSet::new();
        let sources = self.sources(&job.part).await?;
        let scanner = self.clone();
        tasks.spawn(async move {
            let mut batches: Vec<RecordBatch> = Vec::new();
            let mut rows = 0;
            for source in &sources {
                let plan = plan::rows(source, &job.predicate, columns).map_err(error::plan)?;
                let keep = |batch: RecordBatch| {
                    rows += batch.num_rows();
                    batches.push(batch);
                    if rows > rows_max { Err(too_many_rows(rows_max)) } else { Ok(()) }
                };
                scanner.run(&plan, keep).await?;
            }
            Ok(batches)
        });
        let done = tasks.join_next().await.expect("one task was spawned");
        done.map_err(|e| stopped(&e))?
    }

    async fn run(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        mut take: impl FnMut(RecordBatch) -> Result<(), ViewError>,
    ) -> Result<(), ViewError> {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| ViewError::Store("the query engine is shutting down".to_owned()))?;
        let mut batches = plan.execute(0, Arc::clone(&self.context)).map_err(error::plan)?;
        while let Some(batch) = batches.next().await {
            take(batch.map_err(error::plan)?)?;
        }
        Ok(())
    }

    /// The pieces a part is read in.
    async fn sources(&self, part: &Part) -> Result<Vec<Source>, ViewError> {
        let (path, size, rows) = match part.samples() {
            Samples::Memory(batches) => return Ok(vec![Source::Memory(batches)]),
            Samples::Parquet { path, size, rows } => (path, size, rows),
        };
        let metadata = part.parquet_metadata().await.map_err(error::store)?;
        let Some(metadata) = metadata else {
            return Err(ViewError::Store(format!("{path} has no footer")));
        };
        let groups = metadata.num_row_groups();
        let pieces = if rows < SPLIT_ROWS_MIN { 1 } else { groups.clamp(1, SPLITS_MAX) };
        let runs = part.runs().await.map_err(error::store)?;
        let piece = |at: usize| Source::File {
            size,
            file: File {
                store: Arc::clone(&self.store),
                path: path.clone(),
                metadata: Arc::clone(&metadata),
                row_groups: groups * at / pieces..groups * (at + 1) / pieces,
                runs: runs.clone(),
            },
        };
        Ok((0..pieces).map(piece).collect())
    }
}

/// What all pieces of a part gave.
async fn joined(mut pieces: JoinSet<Result<Cells, ViewError>>) -> Result<Cells, ViewError> {
    let mut all = Cells::default();
    while let Some(done) = pieces.join_next().await {
        all.append(done.map_err(|e| stopped(&e))??);
    }
    Ok(all)
}

fn too_many_rows(most: usize) -> ViewError {
    ViewError::TooLarge(format!("the profile has more than {most} samples: ask for its views"))
}

/// A task that did not end by itself: a panic in a decoder fails the query, not the server.
fn stopped(error: &tokio::task::JoinError) -> ViewError {
    ViewError::Store(format!("a scan ended unexpectedly: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_has_what_all_of_its_pieces_gave() {
        let piece = |stacks: &[i64]| Ok(Cells::of_stacks(stacks));
        let pieces = |last: Result<Cells, ViewError>| {
            let mut pieces = JoinSet::new();
            pieces.spawn(async move { piece(&[4]) });
            pieces.spawn(async { Ok(Cells::default()) });
            pieces.spawn(async move { last });
            pieces
        };
        let mut all = joined(pieces(piece(&[2, 4]))).await.expect("sums");
        all.sort();
        assert_eq!(all.iter().map(|cell| cell.key.0).collect::<Vec<_>>(), [2, 4, 4]);
        assert!(joined(pieces(Err(error::groups(1)))).await.is_err());
    }
}

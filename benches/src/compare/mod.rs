//! The experiment `compare`: the cost of each subject beside its peers and beside the floor of its
//! figure.

mod against;
mod chart;
mod document;
mod report;
mod row;
mod table;
mod targets;

use tower::BoxError;

use crate::cost::{self, Effort};
use crate::figures::{self, Figure};
use crate::options::Options;
use crate::{calls, flow, output, target};
use against::Earlier;
pub use row::Row;

/// Measures every subject, and prints and writes the results. Returns `true` if no subject of this
/// library allocates.
///
/// # Errors
/// Fails if a configuration is invalid, no name matches `--only`, a service fails, or a file cannot
/// be read or written.
pub fn run(options: &Options) -> Result<bool, BoxError> {
    let earlier = options.against.as_ref().map(std::fs::read_to_string).transpose()?;
    let earlier = earlier.as_deref().map(Earlier::parse).transpose()?;
    let figures = chosen(options.only.as_deref())?;
    let effort = Effort::new(options.quick);
    let rows = measure(&figures, effort)?;
    let real = real_calls(options)?;
    let durable = durable(options)?;
    let mut targets = targets::all(&rows);
    targets.extend(calls::targets(&real));
    targets.extend(flow::targets(&durable));

    print!("{}", table::table(&figures, &rows, effort));
    print!("{}", calls::table(&real));
    print!("{}", flow::table(&durable));
    print!("{}", target::table(&targets));
    if let Some(earlier) = earlier {
        print!("{}", against::comparison(&rows, &earlier));
    }
    output::write(
        options,
        "report.json",
        &format!("{:#}\n", report::report(&rows, &real, &durable, &targets)),
    )?;
    output::table(options, "compare", &document::sections(&figures, &rows))?;
    output::table(options, "calls", &calls::section(&real))?;
    output::table(options, "compare-targets", &target::document(&targets))?;
    for figure in &figures {
        if let Some(chart) = chart::chart(figure.name, &rows) {
            output::chart(options, &figure.name.replace(' ', "-"), &chart)?;
        }
    }
    let broken: Vec<&Row> = rows.iter().filter(|row| row.breaks_its_promise()).collect();
    for row in &broken {
        println!("FAILED {}: {} allocations of a call, must be 0", row.subject, row.allocs);
    }
    Ok(broken.is_empty())
}

/// Returns the figures with `only` in their name. Of any other figure that compares a subject with
/// `only` in its name, returns these subjects and the floors.
///
/// # Errors
/// Fails if no figure and no subject has `only` in its name.
fn chosen(only: Option<&str>) -> Result<Vec<Figure>, BoxError> {
    let mut figures = figures::all()?;
    let Some(only) = only else { return Ok(figures) };
    for figure in figures.iter_mut().filter(|figure| !figure.name.contains(only)) {
        let kept = |subject: &cost::Subject| subject.name.contains(only);
        if figure.compared().any(kept) {
            figure.subjects.retain(|subject| kept(subject) || subject.role == cost::Role::Floor);
        } else {
            figure.subjects.clear();
        }
    }
    figures.retain(|figure| !figure.subjects.is_empty());
    if figures.is_empty() && ![calls::FIGURE, flow::FIGURE].iter().any(|it| it.contains(only)) {
        return Err(format!("--only: no figure and no subject has `{only}` in its name").into());
    }
    Ok(figures)
}

/// Measures real calls, unless `--only` excludes them.
fn real_calls(options: &Options) -> Result<Vec<calls::Row>, BoxError> {
    if options.only.as_ref().is_some_and(|only| !calls::FIGURE.contains(only.as_str())) {
        return Ok(Vec::new());
    }
    let rows = calls::measure(options.quick)?;
    eprintln!();
    Ok(rows)
}

/// Measures durable work, but only if `--only` selects it: most of its time is spent on the disk.
fn durable(options: &Options) -> Result<Vec<flow::Row>, BoxError> {
    match &options.only {
        Some(only) if flow::FIGURE.contains(only.as_str()) => flow::measure(options.quick),
        _ => Ok(Vec::new()),
    }
}

fn measure(figures: &[Figure], effort: Effort) -> Result<Vec<Row>, BoxError> {
    let subjects: Vec<_> = figures
        .iter()
        .flat_map(|figure| figure.subjects.iter().map(move |subject| (figure, subject)))
        .collect();
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let alone: Vec<_> = subjects.iter().map(|(_, subject)| *subject).collect();
    let measured = cost::all(&alone, effort)?;
    eprintln!();
    Ok(row::rows(&subjects, &measured))
}

//! Something to look at while it runs.
//!
//! A line that is written over on a terminal. A few lines that stay in a log. On stderr, because
//! stdout is for the result.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::clock;

use crate::scrape::message::Progress;

/// How often a terminal's line is written over.
const BLINK: Duration = Duration::from_millis(100);

/// How often a log gets a line.
const LOG: Duration = Duration::from_secs(2);

/// Shows how far the scrapers of a job are.
#[derive(Debug, Default)]
pub(crate) struct Display(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    title: String,
    scrapers: Vec<Progress>,
    /// The last line, and when it was written.
    shown: Option<(String, Instant)>,
}

impl Display {
    /// A job begins.
    pub(crate) fn begin(&self, title: String, scrapers: usize) {
        let mut state = self.0.lock();
        *state = State { title, scrapers: vec![Progress::default(); scrapers], shown: None };
        state.show();
    }

    /// A scraper has come so far.
    pub(crate) fn progress(&self, scraper: usize, made: Progress) {
        let mut state = self.0.lock();
        if let Some(last) = state.scrapers.get_mut(scraper) {
            *last = made;
        }
        state.show_if_due();
    }

    /// The job is done. Leaves its last line standing.
    pub(crate) fn end(&self) {
        self.0.lock().show();
        if stderr().is_terminal() {
            eprintln!();
        }
    }
}

impl State {
    fn show_if_due(&mut self) {
        let rest = if stderr().is_terminal() { BLINK } else { LOG };
        let rested = |at: &Instant| clock::now().saturating_duration_since(*at) >= rest;
        if self.shown.as_ref().is_none_or(|(_, at)| rested(at)) {
            self.show();
        }
    }

    fn show(&mut self) {
        let line = self.line();
        if self.shown.as_ref().is_some_and(|(last, _)| *last == line) {
            return;
        }
        if stderr().is_terminal() {
            // Padded, so that nothing is left of a longer line. Progress that cannot be shown is no
            // reason to stop making it.
            let _ = write!(stderr(), "\r{line:<40}");
        } else {
            let _ = writeln!(stderr(), "{line}");
        }
        self.shown = Some((line, clock::now()));
    }

    fn line(&self) -> String {
        let sum = |part: fn(&Progress) -> usize| self.scrapers.iter().map(part).sum::<usize>();
        match (sum(|scraper| scraper.done), sum(|scraper| scraper.of)) {
            (_, 0) => format!("{} ...", self.title),
            (done, of) => format!("{} {done} of {of}", self.title),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_adds_the_scrapers_up() {
        let scrapers = vec![Progress { done: 3, of: 30 }, Progress { done: 4, of: 31 }];
        let mut state = State { title: "after: season".into(), scrapers, shown: None };
        assert_eq!(state.line(), "after: season 7 of 61");
        state.scrapers.clear();
        assert_eq!(state.line(), "after: season ...");
    }
}

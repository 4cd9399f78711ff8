//! Figures: measured lines over a growing size, with targets.

use crate::target::Target;

/// A measured quantity at growing sizes.
#[derive(Debug)]
pub(super) struct Figure {
    /// A unique name, also used in names of files.
    pub(super) name: &'static str,
    /// The name of the size.
    pub(super) across: &'static str,
    /// The name and unit of the measured quantity.
    pub(super) up: &'static str,
    pub(super) lines: Vec<Line>,
    pub(super) targets: Vec<Target>,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// A feature of the figure that this subject lacks; empty if none.
    pub(super) lacks: &'static str,
    /// Sizes, each with its measured value.
    pub(super) points: Vec<(u64, f64)>,
}

impl Figure {
    pub(super) const fn new(name: &'static str, across: &'static str, up: &'static str) -> Figure {
        Figure { name, across, up, lines: Vec::new(), targets: Vec::new() }
    }

    /// Adds a point to a line, and creates the line if it is new.
    pub(super) fn add(&mut self, line: &str, lacks: &'static str, size: u64, value: f64) {
        let point = (size, value);
        match self.lines.iter_mut().find(|known| known.name == line) {
            Some(line) => line.points.push(point),
            None => {
                let (name, points) = (line.to_owned(), vec![point]);
                self.lines.push(Line { name, lacks, points });
            }
        }
    }

    /// Returns the value of a line at a size.
    pub(super) fn at(&self, line: &str, size: u64) -> Option<f64> {
        self.line(line)?.points.iter().find(|point| point.0 == size).map(|point| point.1)
    }

    /// Returns the value at the largest size divided by the value at the smallest.
    pub(super) fn growth(&self, line: &str) -> Option<f64> {
        let points = &self.line(line)?.points;
        Some(points.last()?.1 / points.first()?.1)
    }

    /// Returns the largest value of all lines.
    pub(super) fn most(&self) -> Option<f64> {
        self.lines.iter().flat_map(|line| &line.points).map(|point| point.1).reduce(f64::max)
    }

    /// Returns the sizes of all lines, in ascending order and without duplicates.
    pub(super) fn sizes(&self) -> Vec<u64> {
        let points = self.lines.iter().flat_map(|line| &line.points);
        let mut sizes: Vec<u64> = points.map(|point| point.0).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    pub(super) fn timed(&mut self, what: &'static str, at_most: f64, measured: Option<f64>) {
        self.targets.push(Target::timed(self.name, what, at_most, measured));
    }

    pub(super) fn exact(&mut self, what: &'static str, at_most: f64, measured: Option<f64>) {
        self.targets.push(Target::exact(self.name, what, at_most, measured));
    }

    fn line(&self, name: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_grows_point_by_point() {
        let mut figure = Figure::new("figure", "keys", "ns");
        for (line, size, value) in [("a", 10, 2.0), ("b", 10, 7.0), ("a", 100, 3.0)] {
            figure.add(line, "", size, value);
        }
        assert_eq!(
            (figure.growth("a"), figure.growth("b"), figure.growth("c")),
            (Some(1.5), Some(1.0), None)
        );
        assert_eq!((figure.at("b", 10), figure.at("b", 100)), (Some(7.0), None));
        assert_eq!((figure.sizes(), figure.most()), (vec![10, 100], Some(7.0)));
    }
}

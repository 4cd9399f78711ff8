//! Reads a league from a folder of CSV files.
//!
//! Feeds are never clean: the folder has files with other columns, rows are truncated, games are
//! listed twice. Good rows are kept, each once; the rest are [reported](Problems) with file and
//! line. Only a folder without a single good row is an error.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use csv::{Position, Reader, StringRecord};

use super::problems::{Problem, Problems};
use super::record;
use super::{League, TeamGame};
use crate::bad_input::BadInput;

/// Reads every `*.csv` in `folder`.
///
/// # Errors
/// If the folder does not exist, or no file in it has a readable row.
pub fn league(folder: &Path) -> Result<(League, Problems), BadInput> {
    let mut reading = Reading::default();
    for path in csv_files(folder)? {
        reading.file(&path);
    }
    if reading.rows.is_empty() {
        let why = format!("no *.csv with a readable row\n{}", reading.problems);
        return Err(BadInput::new(folder.display(), why));
    }
    Ok((League::new(reading.rows), reading.problems))
}

/// Returns the CSV files sorted by name, so that a folder gives the same league on every machine.
fn csv_files(folder: &Path) -> Result<Vec<PathBuf>, BadInput> {
    let unreadable = |error| BadInput::new(folder.display(), error);
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(unreadable)?.collect();
    let mut files: Vec<_> = entries
        .map_err(unreadable)?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv")))
        .collect();
    files.sort();
    Ok(files)
}

#[derive(Default)]
struct Reading {
    rows: Vec<TeamGame>,
    seen: HashSet<(String, u64)>,
    problems: Problems,
}

impl Reading {
    fn file(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Err(problem) = self.rows_of(path, &name) {
            self.problems.skipped(problem);
        }
    }

    fn rows_of(&mut self, path: &Path, name: &str) -> Result<(), Problem> {
        let unreadable = |error: &dyn std::error::Error| Problem::in_file(name, error);
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let mut reader = Reader::from_reader(file);
        let columns = record::columns(reader.headers().map_err(|error| unreadable(&error))?);
        record::check_columns(&columns).map_err(|why| Problem::in_file(name, why))?;
        for record in reader.records() {
            match record {
                Ok(record) => self.record(name, &columns, &record),
                // A failing disk keeps failing: without this return the loop would never end.
                Err(error) if error.is_io_error() => return Err(unreadable(&error)),
                Err(error) => self.skipped(name, error.position(), record::broken(&error)),
            }
        }
        Ok(())
    }

    fn record(&mut self, name: &str, columns: &StringRecord, record: &StringRecord) {
        match record::row(columns, record) {
            Ok(row) if self.seen.insert((row.game_id.clone(), row.team_id)) => self.rows.push(row),
            Ok(_) => self.problems.duplicate(),
            Err(why) => self.skipped(name, record.position(), why),
        }
    }

    fn skipped(&mut self, name: &str, position: Option<&Position>, why: String) {
        let line = position.map_or(0, Position::line);
        self.problems.skipped(Problem::in_row(name, line, why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "GAME_ID,TEAM_ID,game_date,TEAM_NAME,WL,PTS,REB";

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn read(text: &str) -> (League, Problems) {
        league(folder(&[("games.csv", text.as_bytes())]).path()).unwrap()
    }

    #[test]
    fn a_good_row_is_kept_with_its_zeros() {
        let (league, problems) =
            read(&format!("{HEADER}\n007,3,2011-05-10T00:00:00,Otters,W,99,\n"));
        let day = league.days().next().unwrap();
        assert_eq!(day, jiff::civil::date(2011, 5, 10));
        let row = &league.on(day).unwrap()[0];
        assert_eq!((row.key(), row.pts, row.reb), (("007", 3), 99, None));
        assert_eq!(problems, Problems::default());
    }

    #[test]
    fn bad_rows_are_named_and_good_ones_kept() {
        let (league, problems) = read(&format!(
            "{HEADER}\n\
             1,3,2011-05-10,Otters,W,many,40\n\
             2,3,2011-02-30,Otters,W,99,40\n\
             ,3,2011-05-10,Otters,W,99,40\n\
             4,3,2011-05-10\n\
             5,3,2011-05-10,Otters,W,99,forty\n\
             6,3,2011-05-10,Otters,W,99,40\n\
             6,3,2011-05-10,Otters,W,99,40\n"
        ));
        assert_eq!(league.rows(), 1);
        assert_eq!((problems.count(), problems.duplicates()), (5, 1));
        let text = problems.to_string();
        for expected in [
            "skipped games.csv:2: PTS: many: invalid digit found in string",
            "skipped games.csv:3: GAME_DATE: 2011-02-30: ",
            "skipped games.csv:4: GAME_ID: : must not be empty",
            "skipped games.csv:5: 3 fields, must be 7",
            "skipped games.csv:6: REB: forty: invalid float literal",
            "skipped 1 duplicate rows",
        ] {
            assert!(text.contains(expected), "{expected:?} in {text}");
        }
    }

    #[test]
    fn a_file_with_other_columns_is_skipped() {
        let good = format!("{HEADER}\n1,3,2011-05-10,Otters,W,99,40\n");
        let files: [(&str, &[u8]); 4] = [
            ("a.csv", b"game_id,team_id,team_name,wl,pts\n1,2,x,W,3\n"),
            ("b.csv", good.as_bytes()),
            ("c.csv", b""),
            ("notes.txt", b"not a csv"),
        ];
        let (league, problems) = league(folder(&files).path()).unwrap();
        assert_eq!((league.rows(), problems.count()), (1, 2));
        assert!(problems.to_string().contains("a.csv: missing column GAME_DATE\n"), "{problems}");
    }

    #[test]
    fn bytes_that_are_not_text_are_a_bad_row() {
        let mut bytes = format!("{HEADER}\n").into_bytes();
        bytes.extend(b"1,3,2011-05-10,\xff\xfe,W,99,40\n2,3,2011-05-10,Otters,W,99,40\n");
        let (league, problems) = league(folder(&[("games.csv", &bytes)]).path()).unwrap();
        assert_eq!(league.rows(), 1);
        assert_eq!(problems.to_string(), "skipped games.csv:2: field 4: not UTF-8\n");
    }

    #[test]
    fn a_folder_without_a_game_is_rejected() {
        let missing = league(Path::new("/no/such/folder")).unwrap_err().to_string();
        assert!(missing.starts_with("/no/such/folder: "), "{missing}");
        let empty = league(folder(&[]).path()).unwrap_err().to_string();
        assert!(empty.contains("no *.csv with a readable row"), "{empty}");
    }
}

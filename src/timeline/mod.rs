//! `--timeline`: the start of a whole stack, drawn from the reports and JSON log lines of its gates.

mod picture;
mod read;
mod rows;
mod scale;
mod stack;
mod text;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use crate::config::{Output, Timeline, TimelineFormat};
use crate::exit_status::{ExitStatus, Stop};
use crate::report::{Paint, Sink, is_in_colour, size};

/// The most bytes that are read of one file.
const MOST: u64 = 256 << 20;

/// Reads the files, or standard input, and prints the timeline.
///
/// # Errors
///
/// Exit status 2 for a file that cannot be read; 1 where nothing in them is of a gate.
pub(crate) fn run(timeline: &Timeline, output: &Output) -> Result<ExitStatus, Stop> {
    let mut stack = stack::Stack::default();
    let stdin = [PathBuf::from("-")];
    let files = if timeline.files.is_empty() { &stdin[..] } else { &timeline.files };
    for file in files {
        let bytes = contents(file)
            .map_err(|error| Stop::usage(format!("--timeline: {} cannot be read: {error}", file.display())))?;
        read::records(&String::from_utf8_lossy(&bytes), &mut stack);
    }
    stack.finish();
    if stack.waits.is_empty() {
        let message = format!(
            "--timeline: there is no report and no JSON log line of a gate in what was read ({} lines skipped): \
             gates write them with --report and --log-format json",
            stack.skipped
        );
        return Err(Stop { message, status: ExitStatus::NotHealthy });
    }
    let stdout = io::stdout();
    let drawn = match timeline.format {
        TimelineFormat::Text => {
            text::draw(&stack, size(&stdout).width, Paint { in_colour: is_in_colour(&stdout, output) })
        }
        TimelineFormat::Svg => picture::draw(&stack),
    };
    match Sink::print(&drawn) {
        Ok(()) => Ok(ExitStatus::Ready),
        Err(error) => {
            Err(Stop { message: format!("--timeline: it cannot be printed: {error}"), status: ExitStatus::NotHealthy })
        }
    }
}

fn contents(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(io::Error::other("standard input is a terminal; name files, or pipe logs into it"));
        }
        io::stdin().take(MOST).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(MOST).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

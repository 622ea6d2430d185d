//! The outcome as JUnit XML, in the part of it that all readers understand. Written here, for it is six elements.

use super::{End, Outcome};
use crate::escape;
use std::fmt::Write as _;

/// A suite for each run; in it a case for the run as such, and one for each thing that had to hold.
pub(super) fn report(outcomes: &[Outcome]) -> String {
    let mut suites = String::new();
    let [mut tests, mut failures, mut errors, mut skipped] = [0; 4];
    for outcome in outcomes {
        let (text, counts) = suite(outcome);
        suites += &text;
        tests += counts[0];
        failures += counts[1];
        errors += counts[2];
        skipped += counts[3];
    }
    let time: f64 = outcomes.iter().map(|o| o.took.as_secs_f64()).sum();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"understudy\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\" time=\"{time:.3}\">\n{suites}</testsuites>\n"
    )
}

/// With its numbers of tests, failures, errors and of those that were skipped.
fn suite(outcome: &Outcome) -> (String, [usize; 4]) {
    let name = escaped(&outcome.name());
    let class = escaped(&outcome.job.file.display().to_string());
    let time = outcome.took.as_secs_f64();
    let mut cases = String::new();
    let mut case = |name: &str, time: f64, inside: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            cases,
            "    <testcase classname=\"{class}\" name=\"{}\" time=\"{time:.3}\">{inside}</testcase>",
            escaped(name)
        );
    };
    let [mut failures, mut errors, mut skipped] = [0; 3];
    match &outcome.end {
        End::Skipped(why) => {
            skipped = 1;
            let inside = format!("<skipped message=\"{}\"/>", escaped(why));
            case("the cluster comes up, runs and goes down", time, &inside);
        }
        End::NotRun(why) => {
            skipped = 1;
            let inside = format!("<skipped message=\"not run: {}\"/>", escaped(why));
            case("the cluster comes up, runs and goes down", time, &inside);
        }
        End::Failed(failure) => {
            errors = 1;
            let first = failure.reason.lines().next().unwrap_or_default();
            let inside = format!(
                "<error message=\"{}\">{}</error>",
                escaped(first),
                escaped(&failure.reason)
            );
            case("the cluster comes up, runs and goes down", time, &inside);
        }
        End::Judged(result) => {
            let unkept = result.exit().err().map_or_else(String::new, |failure| {
                errors = 1;
                format!("<error message=\"{}\"/>", escaped(&failure.reason))
            });
            case("the cluster comes up, runs and goes down", time, &unkept);
            for check in &result.checks {
                let inside = if check.holds {
                    String::new()
                } else {
                    failures += 1;
                    format!("<failure message=\"{}\"/>", escaped(&check.seen))
                };
                case(&check.expected, 0.0, &inside);
            }
        }
    }
    let tests = 1 + outcome.result().map_or(0, |result| result.checks.len());
    let logs = outcome.logs.as_ref().map_or_else(String::new, |logs| {
        format!("    <system-out>logs in {}</system-out>\n", escaped(logs))
    });
    let text = format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\" time=\"{time:.3}\">\n{cases}{logs}  </testsuite>\n"
    );
    (text, [tests, failures, errors, skipped])
}

/// As text or attribute. Readers make blanks of ends of lines in an attribute, unless they are written so.
fn escaped(text: &str) -> String {
    escape::markup(text).replace('\n', "&#10;")
}

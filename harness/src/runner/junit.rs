//! The outcome as JUnit XML, in the part of it that all readers understand. Written here, for it is six elements.

use super::Outcome;
use crate::escape;
use std::fmt::Write as _;

/// A suite for each run; in it a case for the run as such, and one for each thing that had to hold.
pub(super) fn report(outcomes: &[Outcome]) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures, mut errors) = (0, 0, 0);
    for outcome in outcomes {
        let (text, counts) = suite(outcome);
        suites += &text;
        tests += counts[0];
        failures += counts[1];
        errors += counts[2];
    }
    let time: f64 = outcomes.iter().map(|o| o.took.as_secs_f64()).sum();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"understudy\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" time=\"{time:.3}\">\n{suites}</testsuites>\n"
    )
}

/// With its numbers of tests, failures and errors.
fn suite(outcome: &Outcome) -> (String, [usize; 3]) {
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
    let (mut failures, mut errors) = (0, 0);
    match &outcome.result {
        Err(failure) => {
            errors = 1;
            let first = failure.reason.lines().next().unwrap_or_default();
            let inside = format!(
                "<error message=\"{}\">{}</error>",
                escaped(first),
                escaped(&failure.reason)
            );
            case("the cluster comes up, runs and goes down", time, &inside);
        }
        Ok(result) => {
            case("the cluster comes up, runs and goes down", time, "");
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
    let tests = 1 + outcome.result.as_ref().map_or(0, |result| result.checks.len());
    let logs = outcome.logs.as_ref().map_or_else(String::new, |logs| {
        format!("    <system-out>logs in {}</system-out>\n", escaped(logs))
    });
    let text = format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" time=\"{time:.3}\">\n{cases}{logs}  </testsuite>\n"
    );
    (text, [tests, failures, errors])
}

/// As text or attribute. Readers make blanks of ends of lines in an attribute, unless they are written so.
fn escaped(text: &str) -> String {
    escape::markup(text).replace('\n', "&#10;")
}

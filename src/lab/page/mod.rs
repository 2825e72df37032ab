//! The result of one job as a self-contained HTML page: the sheet, the plots, how it was
//! measured, and the records themselves. It loads nothing from anywhere.

use super::LabError;
use super::follow::Collected;
use super::plot::{self, attempt};
use super::sheet::Sheet;
use super::table::simulated;
use super::whole;
use crate::record::job::Token;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde_json::json;
use std::path::Path;

/// Writes the page about `collected` to `path`.
pub fn write(collected: &Collected, path: &Path) -> Result<(), LabError> {
    let page = render(collected)?;
    whole::write(path, &page)
}

/// The page.
///
/// Errors: when there is no result to show.
pub fn render(collected: &Collected) -> Result<String, LabError> {
    let record = collected
        .result
        .as_ref()
        .ok_or_else(|| LabError::Failed("there is no result to show".to_owned()))?;
    let result = &record.body;
    let sheet = Sheet::new(&record.stamp, result);
    let windows = attempt::windows(result, &collected.trace());
    let rep = attempt::typical_rep(result);
    let tokens: Vec<&Token> = rep
        .map(|rep| attempt::tokens_of(&collected.tokens(), rep))
        .unwrap_or_default();
    let no_token_energy = tokens
        .iter()
        .filter(|token| token.i > 0)
        .find_map(|token| token.reason)
        .map(super::figure::reason_name);
    let rep_plot = rep.and_then(|rep| attempt::repetition(result, &windows, &tokens, rep));
    let texts: Vec<&String> = result
        .reps
        .iter()
        .filter_map(|rep| rep.text.as_ref())
        .take(1)
        .collect();

    let mut environment = Environment::new();
    let templates = [
        ("page.html", include_str!("page.html")),
        ("style.css", plot::STYLE),
        ("svg.html", plot::SVG),
    ];
    for (name, text) in templates {
        environment
            .add_template(name, text)
            .expect("the template is right");
    }
    let page = environment
        .get_template("page.html")
        .expect("it was just added")
        .render(context! {
            simulated => simulated(&sheet),
            sheet => Serde(&sheet),
            result => Serde(result),
            id => result.id.as_str(),
            rep,
            attempt_plot => Serde(attempt::attempt(result, &windows)),
            rep_plot => Serde(rep_plot),
            token_plot => Serde(attempt::energy_per_token(&tokens)),
            no_token_energy,
            phases => Serde(attempt::legend(result, &attempt::PHASES)),
            rep_phases => Serde(attempt::legend(result, &attempt::REP_PHASES)),
            texts => Serde(&texts),
            missing => collected.missing(),
            version => env!("CARGO_PKG_VERSION"),
            raw => raw(collected),
        });
    page.map_err(|error| LabError::Failed(format!("the page could not be made: {error}")))
}

/// Every record as JSON that may stand inside a `script` element.
fn raw(collected: &Collected) -> String {
    let records = format!(
        "{{\"result\":{},\"tokens\":{},\"trace\":{}}}",
        collected.result_json,
        json!(collected.tokens()),
        json!(collected.trace())
    );
    // In JSON, `<` only occurs within strings, where its escape means the same.
    records.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing::{self, DEVICE, ID};

    fn collected() -> Collected {
        let mut job = Collected::default();
        job.take("result", &testing::result().to_json()).unwrap();
        for tokens in testing::tokens(DEVICE, ID) {
            job.take("tokens", &tokens.to_json()).unwrap();
        }
        for chunk in testing::trace(DEVICE, ID) {
            job.take("trace", &chunk.to_json()).unwrap();
        }
        job
    }

    #[test]
    fn the_page_has_all_its_parts_and_loads_nothing() {
        let page = render(&collected()).unwrap();
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("SIMULATED"));
        assert!(page.contains("below-noise"));
        for loading in ["src=", "href=\"http", "@import", "url("] {
            assert!(!page.contains(loading), "{loading}");
        }
        if let Some(path) = std::env::var_os("JOULED_TEST_PAGE") {
            std::fs::write(path, page).unwrap();
        }
    }

    #[test]
    fn text_of_records_stays_text() {
        let mut job = collected();
        let evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>";
        let record = job.result.as_mut().unwrap();
        record.body.reps[0].text = Some(evil.to_owned());
        record.body.warnings = vec![evil.to_owned()];
        record.body.model.as_mut().unwrap().name = evil.to_owned();
        record.body.rails[0].name = evil.to_owned();
        job.result_json = serde_json::to_string(&*record).unwrap();
        let page = render(&job).unwrap();
        assert!(!page.contains("<script>alert"));
        assert!(!page.contains("<img"));
        let start = page.find("id=\"records\">").unwrap() + "id=\"records\">".len();
        let end = start + page[start..].find("</script>").unwrap();
        let back: serde_json::Value = serde_json::from_str(&page[start..end]).unwrap();
        assert_eq!(back["result"]["warnings"][0], evil);
    }

    #[test]
    fn without_trace_and_tokens_the_page_says_so() {
        let mut job = Collected::default();
        job.take("result", &testing::result().to_json()).unwrap();
        let page = render(&job).unwrap();
        assert_eq!(page.matches("<svg").count(), 0);
        assert!(page.contains("did not arrive"));
    }
}

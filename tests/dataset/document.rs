//! docs/dataset.md says of every column what the code says.

use super::in_repository;
use jouled::lab::dataset::{SCHEMA_VERSION, Table};
use std::fmt::Write;

const BEGIN: &str = "<!-- tables: DATASET=write cargo test --test dataset the_document -->\n";
const END: &str = "<!-- end of tables -->\n";

fn tables() -> String {
    let mut text = String::new();
    let mut tables = Table::ALL;
    // What a reader looks for first.
    tables.reverse();
    for table in tables {
        let heading = format!("\n### {table}\n\n{}.\n\n", table.about());
        text += &heading;
        text += "| column | type | |\n|---|---|---|\n";
        for column in table.columns() {
            let null = if column.nullable { ", or null" } else { "" };
            let (name, kind, about) = (&column.name, column.kind.as_str(), column.about);
            writeln!(text, "| `{name}` | {kind}{null} | {about} |").unwrap();
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_document_has_every_column() {
    let path = in_repository("docs/dataset.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    assert!(before.contains(&format!("schema {SCHEMA_VERSION}")));
    if std::env::var_os("DATASET").is_some_and(|word| word == "write") {
        let text = format!("{before}{BEGIN}{}{END}{after}", tables());
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert_eq!(found, tables(), "DATASET=write writes the tables anew");
}

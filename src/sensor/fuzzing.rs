//! What fuzz/ can't reach from outside: the small files in which drivers show a sensor.

use super::open::rail_names;
use super::sysfs::whole_number;
use std::collections::BTreeSet;

/// `bytes` as a file with a number, and as the labels of a sensor's rails, a line each.
pub fn files(bytes: &[u8]) {
    let text = &String::from_utf8_lossy(bytes);
    let number = whole_number(text, true);
    assert!(number.is_none() || text.ends_with('\n'));
    assert!(number.is_none() || number == whole_number(text, false));

    // As many as a sensor has.
    let labels: Vec<String> = text.lines().take(16).map(str::to_owned).collect();
    let names = rail_names("sensor", &labels);
    // Each is a level of a topic.
    let level = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    assert!(names.iter().all(|name| name.bytes().all(level)));
    let different: BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), labels.len());
}

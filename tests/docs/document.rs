//! README and `docs/` by their parts.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::fs;
use std::path::{Path, PathBuf};

pub struct Document {
    /// Its path in the repository.
    pub name: String,
    path: PathBuf,
    /// Fenced blocks: the words after the fence, the content.
    pub blocks: Vec<(String, String)>,
    /// What stands in backquotes.
    pub codes: Vec<String>,
    pub links: Vec<String>,
    /// Headings as links name them.
    headings: Vec<String>,
}

/// All of them, and those for contributors.
pub fn all() -> Vec<Document> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let docs = fs::read_dir(root.join("docs")).unwrap();
    paths.extend(docs.map(|entry| entry.unwrap().path()));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    paths.iter().map(|path| read(root, path)).collect()
}

fn read(root: &Path, path: &Path) -> Document {
    let text = fs::read_to_string(path).unwrap();
    let name = path.strip_prefix(root).unwrap().display().to_string();
    let mut document = Document {
        name,
        path: path.to_owned(),
        blocks: Vec::new(),
        codes: Vec::new(),
        links: Vec::new(),
        headings: Vec::new(),
    };
    let mut heading = None;
    let mut in_block = false;
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                in_block = true;
                document.blocks.push((language.to_string(), String::new()));
            }
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Text(text) if in_block => {
                let block = document.blocks.last_mut().expect("a block has begun");
                block.1.push_str(&text);
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => document.headings.extend(heading.take()),
            Event::Start(Tag::Link { dest_url, .. }) => document.links.push(dest_url.to_string()),
            Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
                document.codes.push(text.to_string());
            }
            Event::Text(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    for heading in &mut document.headings {
        *heading = anchor(heading);
    }
    document
}

/// As the sites that show Markdown make it.
fn anchor(heading: &str) -> String {
    let kept = |character: &char| character.is_alphanumeric() || "-_ ".contains(*character);
    let text = heading.to_lowercase();
    text.chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

impl Document {
    /// Why a link leads nowhere; what it says of other sites is not looked at.
    pub fn broken(&self, link: &str) -> Option<String> {
        if link.contains("://") {
            return None;
        }
        let (file, place) = link.split_once('#').unwrap_or((link, ""));
        let target = match file {
            "" => self.path.clone(),
            file => self.path.parent()?.join(file),
        };
        if !target.exists() {
            return Some(format!("{link}: there is no such file"));
        }
        if place.is_empty() {
            return None;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = read(root, &target.canonicalize().unwrap());
        let known = target.headings.iter().any(|heading| heading == place);
        (!known).then(|| format!("{link}: there is no such heading"))
    }
}

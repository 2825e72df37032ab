//! A row a token of the primary rail.

use super::super::column::Columns;
pub use crate::record::job::Tokens;

pub fn columns() -> Columns<Tokens> {
    let mut c = Columns::<Tokens>::new();
    c.text("id", "job", |r, _| Some(r.id.as_str().into()));
    c.always();
    c.int("attempt", "from 1", |r, _| Some(r.attempt.into()));
    c.always();
    c.int("rep", "repetition, from 1", |r, _| Some(r.rep.into()));
    c.always();
    c.int("i", "token of the repetition, from 0", |r, n| {
        Some(r.tokens[n].i.into())
    });
    c.always();
    c.time();
    c.int("seq", "record of the attempt", |r, _| Some(r.seq));
    c.always();
    c.bool(
        "simulated",
        "whether the primary rail is simulated",
        |r, _| Some(r.simulated),
    );
    c.float(
        "t_s",
        "when it was known, from the repetition's start",
        |r, n| Some(r.tokens[n].t_s),
    );
    c.always();
    c.float("energy_j", "since the token before", |r, n| {
        r.tokens[n].energy_j
    });
    c.reason("energy_j", |r, n| r.tokens[n].reason);
    c.float("energy_j_u95", "its expanded uncertainty", |r, n| {
        r.tokens[n].energy_j_u95
    });
    c.float(
        "u_ran_j",
        "its random part, a standard uncertainty",
        |r, n| r.tokens[n].u_ran_j,
    );
    c.float("power_w", "mean since the token before", |r, n| {
        r.tokens[n].power_w
    });
    c.int(
        "step_n",
        "tokens that became known together, where more than one",
        |r, n| r.tokens[n].step_n.map(Into::into),
    );
    c.bool(
        "resolved",
        "whether each token of its record has 10 complete windows",
        |r, _| Some(r.resolved),
    );
    c.always();
    c.float(
        "u_sys_rel",
        "the repetition's systematic standard uncertainty, relative",
        |r, _| r.u_sys_rel,
    );
    c.reason("u_sys_rel", |r, _| r.reason);
    c
}

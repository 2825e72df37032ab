//! The columns of each table, one file a table.

mod board;
mod phases;
mod results;
mod runs;
mod tokens;
mod trace;

use super::column::{ColumnInfo, Columns, Waiting};
use super::record::{Body, Published, Record};
use super::table::Table;
use std::sync::LazyLock;

/// All tables' columns, made once.
struct All {
    tokens: Columns<tokens::Tokens>,
    trace: Columns<trace::Windows>,
    rails: Columns<board::RailRecord>,
    health: Columns<board::Health>,
    sensors: Columns<board::Sensors>,
    states: Columns<board::State>,
    events: Columns<board::Event>,
    phases: Columns<phases::Intervals>,
    runs: Columns<runs::JobResult>,
    results: Columns<Published>,
}

static ALL: LazyLock<All> = LazyLock::new(|| All {
    tokens: tokens::columns(),
    trace: trace::columns(),
    rails: board::rails(),
    health: board::health(),
    sensors: board::sensors(),
    states: board::states(),
    events: board::events(),
    phases: phases::columns(),
    runs: runs::columns(),
    results: results::columns(),
});

pub(super) fn columns(table: Table) -> &'static [ColumnInfo] {
    match table {
        Table::Tokens => ALL.tokens.infos(),
        Table::Trace => ALL.trace.infos(),
        Table::Rails => ALL.rails.infos(),
        Table::Health => ALL.health.infos(),
        Table::Sensors => ALL.sensors.infos(),
        Table::States => ALL.states.infos(),
        Table::Events => ALL.events.infos(),
        Table::Phases => ALL.phases.infos(),
        Table::Runs => ALL.runs.infos(),
        Table::Results => ALL.results.infos(),
    }
}

/// Appends the rows of a record to those of its tables; `of` gives a table's.
pub(super) fn append(record: &Record, mut of: impl FnMut(Table, &mut dyn FnMut(&mut Waiting))) {
    match &record.body {
        Body::Tokens(tokens) => of(Table::Tokens, &mut |rows| {
            ALL.tokens.append(rows, record, tokens, tokens.tokens.len());
        }),
        Body::Trace(chunk) => {
            let windows = trace::Windows::of(chunk);
            of(Table::Trace, &mut |rows| {
                ALL.trace.append(rows, record, &windows, chunk.dt_ns.len());
            });
        }
        Body::Rail(rail) => of(Table::Rails, &mut |rows| {
            ALL.rails.append(rows, record, rail, 1)
        }),
        Body::Health(health) => {
            of(Table::Health, &mut |rows| {
                ALL.health.append(rows, record, health, 1)
            });
            let sensors = board::Sensors::of(health);
            of(Table::Sensors, &mut |rows| {
                ALL.sensors.append(rows, record, &sensors, sensors.0.len());
            });
        }
        Body::State(state) => of(Table::States, &mut |rows| {
            ALL.states.append(rows, record, state, 1);
        }),
        Body::Event(event) => of(Table::Events, &mut |rows| {
            ALL.events.append(rows, record, event, 1);
        }),
        Body::Result(published) => {
            let result = &published.result;
            let intervals = phases::Intervals::of(result);
            of(Table::Phases, &mut |rows| {
                ALL.phases
                    .append(rows, record, &intervals, intervals.rows.len());
            });
            of(Table::Runs, &mut |rows| {
                ALL.runs.append(rows, record, result, result.reps.len());
            });
            of(Table::Results, &mut |rows| {
                ALL.results.append(rows, record, published, 1);
            });
        }
    }
}

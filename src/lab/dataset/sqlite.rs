//! One SQLite file: each table with `date` and `device` in front, and the parts that it has.

use super::SCHEMA_VERSION;
use super::column::{Builder, ColumnInfo, Type};
use super::error::DatasetError;
use super::format::{self, PartName};
use super::rows::Place;
use super::table::Table;
use super::value::{Value, rfc3339};
use arrow_array::RecordBatch;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, Transaction, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// In the dataset's folder.
pub(super) const FILE: &str = "dataset.sqlite";

/// Another collector may be writing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a part's rows in one transaction. A part that is there already stays as it is.
pub(super) fn write(
    root: &Path,
    name: &PartName,
    batches: &[(Place, RecordBatch)],
) -> Result<(), DatasetError> {
    let path = root.join(FILE);
    let written = open(&path).and_then(|mut database| {
        let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        make_tables(&change)?;
        let new = change.execute(
            "INSERT OR IGNORE INTO parts (name) VALUES (?1)",
            [name.as_str()],
        )?;
        if new == 1 {
            for (place, batch) in batches {
                insert(&change, place, batch)?;
            }
        }
        change.commit()
    });
    written.map_err(|error| DatasetError::foreign(&path, error))
}

/// Whether a table has a row.
pub(super) fn holds_rows(root: &Path) -> Result<bool, DatasetError> {
    let path = root.join(FILE);
    if !path.exists() {
        return Ok(false);
    }
    let found =
        Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|database| {
            database.busy_timeout(PATIENCE)?;
            let made: u32 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            let mut found = false;
            for table in Table::ALL.into_iter().filter(|_| made > 0) {
                let sql = format!("SELECT EXISTS (SELECT 1 FROM {table})");
                found |= database.query_row(&sql, [], |row| row.get::<_, bool>(0))?;
            }
            Ok(found)
        });
    found.map_err(|error| DatasetError::foreign(&path, error))
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    // Readers go on while a part is written; a part that was written survives a power cut.
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    Ok(database)
}

fn make_tables(change: &Transaction<'_>) -> rusqlite::Result<()> {
    let made: u32 = change.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if made == SCHEMA_VERSION {
        return Ok(());
    }
    change.execute_batch("CREATE TABLE parts (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")?;
    for table in Table::ALL {
        let columns: Vec<String> = table.columns().iter().map(definition).collect();
        let columns = columns.join(", ");
        change.execute_batch(&format!(
            "CREATE TABLE {table} (date TEXT NOT NULL, device TEXT NOT NULL, {columns}) STRICT"
        ))?;
        if table
            .columns()
            .iter()
            .any(|column| column.name == "attempt")
        {
            change.execute_batch(&format!(
                "CREATE INDEX {table}_attempt ON {table} (device, id, attempt)"
            ))?;
        }
    }
    change.pragma_update(None, "user_version", SCHEMA_VERSION)
}

fn definition(column: &ColumnInfo) -> String {
    let kind = match column.kind {
        Type::Bool | Type::Int => "INTEGER",
        Type::Float => "REAL",
        Type::Text | Type::Time => "TEXT",
    };
    let missing = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {kind}{missing}", column.name)
}

fn insert(change: &Transaction<'_>, place: &Place, batch: &RecordBatch) -> rusqlite::Result<()> {
    let Place {
        table,
        date,
        device,
    } = place;
    let names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
    let places = ", ?".repeat(names.len());
    let names = names.join(", ");
    let mut insert = change.prepare_cached(&format!(
        "INSERT INTO {table} (date, device, {names}) VALUES (?, ?{places})"
    ))?;
    let date = date.to_string();
    for row in 0..batch.num_rows() {
        insert.raw_bind_parameter(1, &date)?;
        insert.raw_bind_parameter(2, device)?;
        for (index, column) in batch.columns().iter().enumerate() {
            insert.raw_bind_parameter(index + 3, Value::of(column, row))?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Missing => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer((*value).into())),
            Self::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Self::Float(value) => ToSqlOutput::Borrowed(ValueRef::Real(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Time(value) => ToSqlOutput::from(rfc3339(*value)),
        })
    }
}

/// Gives `each` a table's rows, device by device.
pub(super) fn read(
    path: &Path,
    table: Table,
    columns: &[ColumnInfo],
    each: &mut dyn FnMut(&str, &RecordBatch) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let broken = |error: rusqlite::Error| DatasetError::foreign(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).map_err(broken)?;
    database.busy_timeout(PATIENCE).map_err(broken)?;
    let version = database.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));
    let version = version.map_err(broken)?;
    format::check_version(path, Some(&version.to_string()))?;
    if version == 0 {
        // Its first part was begun and not finished.
        let is_empty = "SELECT count(*) = 0 FROM sqlite_schema";
        let is_empty = database.query_row(is_empty, [], |row| row.get(0));
        return match is_empty.map_err(broken)? {
            true => Ok(()),
            false => Err(DatasetError::foreign(path, "tables of something else")),
        };
    }
    let there = columns_of(&database, table).map_err(broken)?;
    let names: Vec<&str> = columns
        .iter()
        .map(|column| match there.contains(&column.name) {
            true => column.name.as_str(),
            // Of an older schema: it was added since.
            false => "NULL",
        })
        .collect();
    let names = names.join(", ");
    let rows = format!("SELECT {names} FROM {table} WHERE device = ?1 ORDER BY rowid");
    for device in devices(&database, table).map_err(broken)? {
        let mut builders: Vec<Builder> = columns.iter().map(|c| Builder::new(c.kind)).collect();
        let mut query = database.prepare(&rows).map_err(broken)?;
        let mut rows = query.query([&device]).map_err(broken)?;
        while let Some(row) = rows.next().map_err(broken)? {
            for (index, (info, out)) in columns.iter().zip(&mut builders).enumerate() {
                let value = row.get_ref(index).map_err(broken)?;
                let (name, kind) = (&info.name, info.kind.as_str());
                of_database(value, info)
                    .and_then(|value| value.append(out))
                    .ok_or_else(|| {
                        let why = format!("a `{name}` in the table `{table}` is no {kind}");
                        DatasetError::foreign(path, why)
                    })?;
            }
        }
        let found = builders.iter_mut().map(Builder::finish).collect();
        let batch = super::column::batch(columns, found);
        let batch = batch.map_err(|error| DatasetError::foreign(path, error))?;
        each(&device, &batch)?;
    }
    Ok(())
}

fn columns_of(database: &Connection, table: Table) -> rusqlite::Result<Vec<String>> {
    let mut query = database.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = query.query_map([table.as_str()], |row| row.get(0))?;
    names.collect()
}

fn devices(database: &Connection, table: Table) -> rusqlite::Result<Vec<String>> {
    let mut query = database.prepare(&format!("SELECT DISTINCT device FROM {table} ORDER BY 1"))?;
    let names = query.query_map([], |row| row.get(0))?;
    names.collect()
}

fn of_database<'a>(value: ValueRef<'a>, info: &ColumnInfo) -> Option<Value<'a>> {
    match (value, info.kind) {
        (ValueRef::Null, _) => info.nullable.then_some(Value::Missing),
        (ValueRef::Integer(value), Type::Bool) => Some(Value::Bool(value != 0)),
        (ValueRef::Integer(value), Type::Int) => Some(Value::Int(value)),
        (ValueRef::Real(value), Type::Float) => Some(Value::Float(value)),
        (ValueRef::Text(text), kind @ (Type::Text | Type::Time)) => {
            Value::read(std::str::from_utf8(text).ok()?, kind)
        }
        _ => None,
    }
}

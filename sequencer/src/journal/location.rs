//! Where a journal lives: a SQLite file or a PostgreSQL database.

use std::{fmt, path::PathBuf, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// Where a journal lives. Parsed from `postgres://…`, `sqlite:PATH` or a plain path.
#[derive(Clone)]
pub enum Location {
    /// A file of the embedded SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PgConnectOptions>),
}

/// Why a text names no journal.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// A URL of something else.
    #[error("{0}: is no journal: give a path, or a URL that starts with postgres://")]
    Scheme(String),
    /// Nothing at all.
    #[error("the journal's path is empty")]
    Empty,
    /// A PostgreSQL URL that cannot be understood.
    #[error("the journal's PostgreSQL URL: {0}")]
    Postgres(#[source] sqlx::Error),
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let options = text.parse().map_err(LocationError::Postgres)?;
            return Ok(Self::Postgres(Box::new(options)));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        let path = path.unwrap_or(text);
        match path.split_once("://") {
            // What follows may hold a password, so it isn't repeated.
            Some((scheme, _)) => Err(LocationError::Scheme(scheme.to_owned())),
            None if path.is_empty() => Err(LocationError::Empty),
            None => Ok(Self::Sqlite(path.into())),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

/// Without user and password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(options) => {
                let database = options.get_database().unwrap_or_default();
                write!(f, "postgres://{}:{}/{database}", options.get_host(), options.get_port())
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_paths_from_urls_and_keeps_the_password() {
        for (text, shown) in [
            ("data/journal.sqlite", "data/journal.sqlite"),
            ("sqlite:data/journal.sqlite", "data/journal.sqlite"),
            ("sqlite:///data/journal.sqlite", "/data/journal.sqlite"),
            ("postgres://miller:secret@db:5433/chain", "postgres://db:5433/chain"),
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), shown);
            assert!(!format!("{location:?}").contains("secret"));
        }
        for text in ["", "sqlite:", "mysql://u:secret@h/d", "postgres://h:port/d"] {
            let error = Location::from_str(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

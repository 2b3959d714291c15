//! A server to measure.

use std::str::FromStr;

/// `name=host:port[,user=U][,db=D][,password=P][,also=PORT]...`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// In the report.
    pub name: String,
    /// Where it is.
    pub host: String,
    /// See `host`.
    pub port: u16,
    /// Whom to be.
    pub user: String,
    /// Where the tables are made.
    pub database: String,
    /// Empty without one.
    pub password: String,
    /// Ports of servers whose processor time counts too: replicas, standbys.
    pub also: Vec<u16>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text}: a target is name=host:port[,user=..][,db=..][,password=..][,also=port]"
            )
        };
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let mut parts = rest.split(',');
        let (host, port) = parts.next().and_then(|at| at.rsplit_once(':')).ok_or_else(wrong)?;
        let mut target = Self {
            name: name.to_owned(),
            host: host.to_owned(),
            port: port.parse().map_err(|_| wrong())?,
            user: "postgres".to_owned(),
            database: "postgres".to_owned(),
            password: String::new(),
            also: Vec::new(),
        };
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            match key {
                "user" => value.clone_into(&mut target.user),
                "db" => value.clone_into(&mut target.database),
                "password" => value.clone_into(&mut target.password),
                "also" => target.also.push(value.parse().map_err(|_| wrong())?),
                _ => return Err(wrong()),
            }
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_and_an_address_and_maybe_more() {
        let target: Target =
            "pg=127.0.0.1:15431,db=bench,password=x=y,also=7,also=8".parse().unwrap();
        assert_eq!((target.name.as_str(), target.port), ("pg", 15_431));
        assert_eq!((target.user.as_str(), target.database.as_str()), ("postgres", "bench"));
        assert_eq!((target.password.as_str(), target.also.as_slice()), ("x=y", [7, 8].as_slice()));
        assert!("pg=127.0.0.1:5432,also=70000".parse::<Target>().is_err());
        assert!("pg".parse::<Target>().is_err());
        assert!("pg=127.0.0.1:5432,color=red".parse::<Target>().is_err());
    }
}

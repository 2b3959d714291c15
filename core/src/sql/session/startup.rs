//! The beginning of a session: who, where, and what the client is told before its first query.

use std::rc::Rc;

use super::inbox::Signal;
use super::session::{End, Flow, Session, before, violation};
use crate::auth::principal::Principal;
use crate::auth::scram;
use crate::base::error::{SqlError, sqlstate};
use crate::sql::catalog::snapshot::Catalog;
use crate::sql::protocol::{ClientReply, ClientRequest, ScramVerifier};

/// A client has so long to prove who it is.
const AUTHENTICATION: std::time::Duration = std::time::Duration::from_secs(10);

impl Session {
    /// From the start-up packet to the first ReadyForQuery.
    pub(super) async fn start_up(&mut self) -> Flow {
        let deadline = self.instance.clock.now().mono + AUTHENTICATION;
        let event = self.instance.clock.sleep_until(deadline);
        match before(self.admit(), event).await {
            Some(admitted) => admitted?,
            None => return Err(End::Quietly), // as PostgreSQL: no word to a silent client
        }
        self.greet()
    }

    async fn admit(&mut self) -> Flow {
        let (user, database, parameters) = match self.first_message().await? {
            ClientRequest::Startup { user, database, parameters } => (user, database, parameters),
            ClientRequest::ProtocolViolation(what) => return Err(violation(&what)),
            ClientRequest::Cancel { .. } | ClientRequest::Terminate => return Err(End::Quietly),
            _ => return Err(violation("expected a start-up message")),
        };
        if let Some(refusal) = self.instance.refusal() {
            return Err(End::Fatal(refusal));
        }
        let instance = Rc::clone(&self.instance);
        let newest = instance.catalog.refresh(&*instance.source).await;
        let catalog = newest.map_err(|failure| End::Fatal(failure.into()))?;
        self.authenticate(&catalog, &user).await?;
        let database = if database.is_empty() { user } else { database };
        let Some(found) = catalog.database(&database) else {
            let message = format!("database \"{database}\" does not exist");
            return Err(End::Fatal(SqlError::new(sqlstate::INVALID_CATALOG_NAME, message)));
        };
        self.database = Rc::clone(found);
        self.apply_parameters(&parameters).map_err(End::Fatal)
    }

    async fn first_message(&mut self) -> Result<ClientRequest, End> {
        self.replies.flush();
        let inbox = Rc::clone(&self.inbox);
        inbox.next().await.map_err(|signal| match signal {
            Signal::Disconnected | Signal::Cancelled | Signal::Stopped => End::Quietly,
        })
    }

    async fn authenticate(&mut self, catalog: &Catalog, user: &str) -> Flow {
        let known = catalog.principal(user).filter(|principal| principal.login).cloned();
        if self.instance.config.insecure {
            self.replies.push(ClientReply::AuthenticationOk);
            return match known {
                Some(principal) => self.become_user(principal),
                None => Err(End::Fatal(no_such_role(catalog, user))),
            };
        }
        let verifier = known.as_ref().and_then(|principal| principal.verifier.clone());
        let verifier = verifier.unwrap_or_else(|| scram::mock(self.instance.config.seed, user));
        self.replies.push(ClientReply::AuthenticationScram(ScramVerifier {
            salt: verifier.salt,
            iterations: verifier.iterations,
            stored_key: verifier.stored_key,
            server_key: verifier.server_key,
        }));
        match (self.first_message().await?, known) {
            (ClientRequest::Authenticated, Some(principal)) => {
                self.replies.push(ClientReply::AuthenticationOk);
                self.become_user(principal)
            }
            (ClientRequest::ProtocolViolation(what), _) => Err(violation(&what)),
            (ClientRequest::Terminate, _) => Err(End::Quietly),
            _ => {
                let message = format!("password authentication failed for user \"{user}\"");
                Err(End::Fatal(SqlError::new(sqlstate::INVALID_PASSWORD, message)))
            }
        }
    }

    fn become_user(&mut self, principal: Rc<Principal>) -> Flow {
        self.settings = super::settings::Settings::new(&principal.name);
        self.settings.force("is_superuser", if principal.superuser { "on" } else { "off" });
        self.settings.freeze_initial();
        self.user = principal;
        Ok(())
    }

    fn apply_parameters(&mut self, parameters: &[(String, String)]) -> Result<(), SqlError> {
        for (name, value) in parameters {
            match name.as_str() {
                "options" => self.settings.start_up_options(value)?,
                "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
                "replication" => return Err(SqlError::unsupported("replication protocol")),
                // Protocol extensions that we do not know are ignored, as the protocol says.
                name if name.starts_with("_pq_.") => {}
                name => self.settings.start_up(name, value)?,
            }
        }
        Ok(())
    }

    fn greet(&mut self) -> Flow {
        let (user, database) = (self.user.name.clone(), self.database.name.clone());
        let key = self.instance.register(&self.handle, &user, &database);
        let (process, secret) = key.map_err(End::Fatal)?;
        self.process = process;
        self.report_settings();
        self.replies.push(ClientReply::BackendKeyData { process, secret });
        self.ready();
        Ok(())
    }
}

fn no_such_role(catalog: &Catalog, user: &str) -> SqlError {
    let what = match catalog.principal(user) {
        Some(_) => "is not permitted to log in",
        None => "does not exist",
    };
    SqlError::new(sqlstate::INVALID_AUTHORIZATION, format!("role \"{user}\" {what}"))
}

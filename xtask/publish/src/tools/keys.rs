//! Access keys for the buckets: asked for when they are needed, for just what is needed, kept in memory, made anew
//! before they run out.
//!
//! Never prints one, never puts one into a child's environment. Refuses to decide which buckets are needed.

use std::time::{Duration, SystemTime};

use super::child::{self, Wait};
use super::store::{Credentials, Store};
use anyhow::{Context, Result, anyhow, bail};
use aws_credential_types::provider::ProvideCredentials;
use serde::Deserialize;
use tokio::task::JoinHandle;
use xshell::Shell;
use xtask::domain::environment::{self, Access};
use xtask::tools::term;

/// How long a program may take that makes keys: it may ask for a passphrase, or for a touch.
const LONGEST: Duration = Duration::from_secs(180);
/// How soon a renewal that failed is tried again: the key in use is good for a while.
pub const RETRY: Duration = Duration::from_secs(60);
/// How long before it expires a key that says when is replaced.
const MARGIN: Duration = Duration::from_secs(300);
/// The shortest time between two renewals, whatever a key says.
const SHORTEST: Duration = Duration::from_secs(10);

/// What a program prints that makes keys, such as Garage's `garage-ephemeral-key`.
#[derive(Deserialize)]
struct Printed {
    id: String,
    secret_key: String,
}

/// Where keys for some buckets come from.
#[derive(Clone)]
pub struct KeySource {
    pub credentials: environment::Credentials,
    pub access: Access,
    pub buckets: Vec<String>,
}

/// A key, and in how long it is to be replaced; `None` if it does not run out.
pub struct Key {
    pub credentials: Credentials,
    pub due: Option<Duration>,
}

impl KeySource {
    /// Asks for a key.
    ///
    /// # Errors
    /// The program fails or prints something else (which is not shown: it may be half a secret), or the AWS chain finds
    /// nothing.
    pub async fn obtain(&self) -> Result<Key> {
        match &self.credentials {
            environment::Credentials::Command { program, renew_after_minutes } => {
                let command = environment::credentials_command(program, self.access, &self.buckets);
                let due = Some(Duration::from_secs(renew_after_minutes.saturating_mul(60)));
                Ok(Key { credentials: from_program(&command).await?, due })
            }
            environment::Credentials::Aws {} => from_aws().await,
        }
    }

    /// Obtains keys for `store` again and again, first when the one at hand is `due`, until the returned value is
    /// dropped. What fails is tried again after `retry`.
    pub fn keep_fresh(self, store: Store, due: Duration, retry: Duration) -> Renewal {
        Renewal(tokio::spawn(async move {
            let (mut pause, mut failed) = (due, false);
            loop {
                tokio::time::sleep(pause).await;
                match self.obtain().await {
                    Ok(Key { credentials, due }) => {
                        store.renew(credentials);
                        if std::mem::take(&mut failed) {
                            term::say("the access key is renewed");
                        }
                        let Some(due) = due else { return };
                        pause = due;
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut failed, true) {
                            term::warn(format_args!("cannot renew the access key, and this is tried again: {error:#}"));
                        }
                        pause = retry;
                    }
                }
            }
        }))
    }
}

/// When a key that expires is replaced: early enough for a renewal that fails to be tried again.
fn due(expires: SystemTime, now: SystemTime) -> Duration {
    let left = expires.duration_since(now).unwrap_or_default();
    left.saturating_sub(MARGIN).max(left / 2).max(SHORTEST)
}

/// A task that keeps a key fresh.
pub struct Renewal(JoinHandle<()>);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn from_program(command: &[String]) -> Result<Credentials> {
    let [program, arguments @ ..] = command else { bail!("the program that makes keys has no name") };
    let running = {
        let sh = Shell::new().context("cannot determine the current directory")?;
        let wait = Wait::for_(format!("`{program}`, which makes access keys")).at_most(LONGEST).trusted();
        child::read(sh.cmd(program).args(arguments), &wait)
    };
    let printed = running.await.context("cannot get an access key")?;
    // serde's errors quote what they read.
    let Printed { id, secret_key } = serde_json::from_str(&printed).map_err(|_| {
        anyhow!("`{program}` did not print {{\"id\": …, \"secret_key\": …}}, so there is no access key")
    })?;
    Ok(Credentials { id, secret: secret_key, session_token: None })
}

async fn from_aws() -> Result<Key> {
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
    let provider = config.credentials_provider().context("the AWS configuration names no credentials")?;
    let found = provider.provide_credentials().await.context("the usual places of AWS credentials hold none")?;
    let credentials = Credentials {
        id: found.access_key_id().to_owned(),
        secret: found.secret_access_key().to_owned(),
        session_token: found.session_token().map(str::to_owned),
    };
    Ok(Key { credentials, due: found.expiry().map(|expires| due(expires, SystemTime::now())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_expires_is_replaced_before() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let due_of = |left| due(now + Duration::from_secs(left), now).as_secs();
        assert_eq!([3600, 600, 400, 60, 5, 0].map(due_of), [3300, 300, 200, 30, 10, 10]);
        assert_eq!(due(now - Duration::from_secs(60), now), SHORTEST);
    }
}

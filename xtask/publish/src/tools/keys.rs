//! Access keys for the buckets: obtained when needed, with no more rights than needed, kept in memory, and renewed
//! before they expire.
//!
//! A key is never printed, and never put into a child's environment.

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

/// Time limit for the program that makes keys: it may ask for a passphrase, or for a touch.
const LONGEST: Duration = Duration::from_secs(180);
/// Pause after a failed renewal: the current key is still valid for a while.
pub const RETRY: Duration = Duration::from_secs(60);
/// Time before its expiry at which a key is replaced.
const MARGIN: Duration = Duration::from_secs(300);
/// Shortest time between two renewals, whatever the expiry.
const SHORTEST: Duration = Duration::from_secs(10);

/// Output of a program that makes keys, such as Garage's `garage-ephemeral-key`.
#[derive(Deserialize)]
struct Printed {
    id: String,
    secret_key: String,
}

/// Where to obtain keys for some buckets.
#[derive(Clone)]
pub struct KeySource {
    pub credentials: environment::Credentials,
    pub access: Access,
    pub buckets: Vec<String>,
}

/// A key, with the time until it is due to be replaced; `None` if it does not expire.
pub struct Key {
    pub credentials: Credentials,
    pub due: Option<Duration>,
}

impl KeySource {
    /// Obtains a key.
    ///
    /// # Errors
    /// The program fails or prints something else (which is not shown, because it may contain a secret), or the AWS
    /// chain finds no credentials.
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

    /// Renews the key of `store` each time it is due, first after `due`, until the returned value is dropped. A failed
    /// renewal is tried again after `retry`.
    pub fn keep_fresh(self, store: Store, due: Duration, retry: Duration) -> Renewal {
        Renewal(tokio::spawn(async move {
            let (mut pause, mut failed) = (due, false);
            loop {
                tokio::time::sleep(pause).await;
                match self.obtain().await {
                    Ok(Key { credentials, due }) => {
                        store.renew(credentials);
                        if std::mem::take(&mut failed) {
                            term::say("the access key was renewed");
                        }
                        let Some(due) = due else { return };
                        pause = due;
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut failed, true) {
                            term::warn(format_args!("cannot renew the access key, trying again: {error:#}"));
                        }
                        pause = retry;
                    }
                }
            }
        }))
    }
}

/// Returns the time until a key is due to be replaced, early enough to try a failed renewal again.
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
    let found = provider
        .provide_credentials()
        .await
        .context("no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws")?;
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
    fn a_key_is_replaced_before_it_expires() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let due_of = |left| due(now + Duration::from_secs(left), now).as_secs();
        assert_eq!([3600, 600, 400, 60, 5, 0].map(due_of), [3300, 300, 200, 30, 10, 10]);
        assert_eq!(due(now - Duration::from_secs(60), now), SHORTEST);
    }
}

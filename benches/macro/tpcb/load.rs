//! Clients that never give up: each goes to another node when its own fails it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tokio::time::sleep;

use super::outcome::Tally;
use super::schema::Scale;
use super::session::{Numbers, Session, Trouble};

/// After a refusal, before the next node is tried.
const PAUSE: Duration = Duration::from_millis(20);
/// A client that had to go elsewhere tries its own node again after this: else every node's loss
/// would leave its clients with the next one for good, and in the end all with one.
const AWAY_MAX: Duration = Duration::from_secs(3);

/// What to do.
#[derive(Clone, Debug)]
pub struct Load {
    /// `host:port` of each node.
    pub addrs: Vec<String>,
    /// Clients at once.
    pub clients: u32,
    /// How long new transactions begin.
    pub duration: Duration,
    /// The tables' size.
    pub scale: Scale,
    /// How long a client waits for any one answer.
    pub patience: Duration,
    /// `serializable` or `read committed`.
    pub isolation: String,
    /// Where the clients' randomness begins.
    pub seed: u64,
}

/// Runs the load; what the clients were told.
pub async fn run(load: &Load) -> Tally {
    let began = Instant::now();
    let tally = Rc::new(RefCell::new(Tally::new(began)));
    let local = LocalSet::new();
    for number in 0..load.clients {
        let client = Client { load: load.clone(), number, tally: Rc::clone(&tally), sent: 0 };
        local.spawn_local(client.run(began + load.duration));
    }
    local.await;
    let mut tally = Rc::try_unwrap(tally).map_or_else(|t| t.borrow().clone(), RefCell::into_inner);
    tally.silence.broken(began + load.duration);
    tally.lasted = began.elapsed();
    tally
}

struct Client {
    load: Load,
    number: u32,
    tally: Rc<RefCell<Tally>>,
    /// Transactions so far; with `number` it makes their ids.
    sent: u32,
}

impl Client {
    async fn run(mut self, until: Instant) {
        let Load { addrs, patience, isolation, .. } = self.load.clone();
        let mut random = SplitMix(self.load.seed ^ u64::from(self.number).wrapping_mul(0x9E37));
        let home = self.number as usize % addrs.len();
        let mut node = home;
        while Instant::now() < until {
            let leave = if node == home { until } else { until.min(Instant::now() + AWAY_MAX) };
            let failed = match Session::open(&addrs[node], patience, &isolation).await {
                Ok(session) => self.serve(&session, &mut random, leave).await,
                Err(reason) => {
                    self.refused(reason);
                    sleep(PAUSE).await;
                    true
                }
            };
            let other = 1 + usize::try_from(random.below((addrs.len() as u64).saturating_sub(1)))
                .unwrap_or(0);
            node = if failed { (node + other) % addrs.len() } else { home };
        }
    }

    fn refused(&self, reason: String) {
        let mut tally = self.tally.borrow_mut();
        tally.hangs += u64::from(reason == "hung");
        *tally.refusals.entry(reason).or_default() += 1;
    }

    /// Transactions on one connection until it fails, which is true, or the time is over.
    async fn serve(&mut self, session: &Session, random: &mut SplitMix, until: Instant) -> bool {
        while Instant::now() < until {
            self.sent += 1;
            let id = i64::from(self.number) << 32 | i64::from(self.sent);
            let numbers = Numbers::draw(id, self.load.scale, |max| random.below(max));
            let began = Instant::now();
            let (outcome, trouble) = session.transaction(&numbers).await;
            let mut tally = self.tally.borrow_mut();
            tally.ended(id, outcome, began);
            tally.hangs += u64::from(trouble == Some(Trouble::Hung));
            if trouble.is_some() {
                return true;
            }
        }
        false
    }
}

/// Steele, Lea and Flood's generator: enough to spread transactions.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % max.max(1)
    }
}

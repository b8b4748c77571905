//! stub
use std::{sync::Arc, time::Duration};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use tokio_util::sync::CancellationToken;
use crate::domain::pair::Pair;
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;
pub type Truths = Arc<dyn Fn(Pair) -> Option<Decimal> + Send + Sync>;
pub struct SimOptions { pub seed: u64, pub trouble: bool, pub now: Now, pub step: Duration }
impl Default for SimOptions { fn default() -> Self { Self{seed:1,trouble:false,now:Arc::new(||DateTime::<Utc>::MIN_UTC),step:Duration::from_millis(100)} } }
#[derive(Debug)] pub struct SimulatedVenue { pub name: &'static str, pub url: String, pub pairs: Vec<Pair> }
#[derive(Debug)] pub struct Simulation(Vec<SimulatedVenue>);
impl Simulation {
  pub async fn start(_o: SimOptions, _s: CancellationToken) -> std::io::Result<Self> { Ok(Self(vec![])) }
  pub fn venues(&self) -> &[SimulatedVenue] { &self.0 }
  pub fn truths(&self) -> Truths { Arc::new(|_| None) }
  pub async fn stop(self) {}
}

struct Board {
    sensor: Tmp105<I2cBus>,
}

impl Hal for Board {
    fn unix_time(&mut self) -> Option<UnixTime> {
        None // no clock that knows the date
    }

    fn temperature(&mut self) -> Sampled<Celsius> {
        Poll::Ready(self.sensor.read().map_err(SensorError::from))
    }
}

struct Radio {
    socket: Socket,
    deadline: Option<Instant>,
}

impl Uplink for Radio {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        self.socket.queue(body);
        self.deadline = Some(clock::now() + timeout);
    }

    fn poll(&mut self) -> Poll<Outcome> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let outcome = match self.socket.status() {
            Some(200) => Outcome::new(Verdict::Accepted, ""),
            Some(_) => Outcome::new(Verdict::Refused { retry_after: None }, "refused"),
            None if clock::now() >= deadline => no_answer(),
            None => return Poll::Pending,
        };
        self.deadline = None;
        Poll::Ready(outcome)
    }

    fn cancel(&mut self) -> Outcome {
        self.deadline = None;
        self.socket.forget();
        no_answer()
    }
}

fn no_answer() -> Outcome {
    Outcome::new(Verdict::Failed { fault: Fault::Server, may_have_arrived: true }, "no answer in time")
}

fn run(id: &str, phase: u32, mut board: Board, mut radio: Radio) {
    let mut agent = Agent::new(Identity::new(id), Config::default().with_phase(phase));
    while let Wake::At(when) = agent.poll(clock::now(), &mut board, &mut radio) {
        clock::sleep_until(when); // or until an interrupt says that there is news
    }
}

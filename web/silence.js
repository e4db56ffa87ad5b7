// How long nothing may be received before another path is looked for: soon where media come steadily, later where the
// network makes them come in bursts. It learns from the pauses after which media came again by themselves.

/** While little is known of the network. */
const CAUTIOUS_MS = 700;
const LEARN_MS = 3000;
const SHORTEST_MS = 400;
const LONGEST_MS = 1500;
/** Of the longest pause of late: a silence that is so much longer is another kind of thing. */
const FACTOR = 3;
/** After so long a pause counts half. */
const HALF_LIFE_MS = 20_000;

export class Silence {
  #pulse = "";
  #at = 0;
  #looked = 0;
  #began = 0;
  #longest = 0;
  #excused = false;

  /** Begins anew, with a connection of which nothing is known. */
  begin(now) {
    this.#pulse = "";
    this.#at = this.#looked = this.#began = now;
    this.#longest = 0;
    this.#excused = false;
  }

  /** `pulse` changes with everything that is received. Returns for how many milliseconds nothing has been. */
  look(pulse, now) {
    this.#longest *= 0.5 ** ((now - this.#looked) / HALF_LIFE_MS);
    this.#looked = now;
    if (pulse !== this.#pulse) {
      if (!this.#excused) this.#longest = Math.max(this.#longest, now - this.#at);
      this.#excused = false;
      this.#pulse = pulse;
      this.#at = now;
    }
    return now - this.#at;
  }

  /** The silence that is now was ended from here, and says nothing about the network's habits. */
  excuse() {
    this.#excused = true;
  }

  /** Milliseconds of silence after which another path is worth a try. */
  get patience() {
    if (this.#looked - this.#began < LEARN_MS) return CAUTIOUS_MS;
    return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, FACTOR * this.#longest));
  }
}

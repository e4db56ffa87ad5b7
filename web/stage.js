// How the face stands on the page: its shape, the picture before the first frame, and the colour around it.

/** Side of the copy that the portrait's edge is read from. */
const SAMPLE = 16;

export class Stage {
  #face;
  #poster;
  #root = document.documentElement;

  constructor(face, poster) {
    this.#face = face;
    this.#poster = poster;
    poster.addEventListener("load", () => {
      poster.hidden = false;
      this.#tint();
      if (!this.playing) this.#fitPoster();
    });
    poster.addEventListener("error", () => (poster.hidden = true));
  }

  /** The portrait that is shown while no video is. */
  portrait(portrait) {
    if (portrait && !this.#poster.src.endsWith(portrait.src)) this.#poster.src = portrait.src;
  }

  shape(width, height) {
    if (width && height) this.#face.style.setProperty("--ratio", (width / height).toFixed(4));
  }

  /** Whether moving pictures cover the still one. */
  get playing() {
    return this.#face.classList.contains("playing");
  }

  set playing(playing) {
    this.#face.classList.toggle("playing", playing);
    if (!playing) this.#fitPoster();
  }

  #fitPoster() {
    this.shape(this.#poster.naturalWidth, this.#poster.naturalHeight);
  }

  /** The page takes on the mean colour of the portrait's left, right and upper edge, so that the face sits in it. */
  #tint() {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SAMPLE;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.#poster, 0, 0, SAMPLE, SAMPLE);
    const { data } = context.getImageData(0, 0, SAMPLE, SAMPLE);
    const sum = [0, 0, 0];
    let count = 0;
    for (let y = 0; y < SAMPLE; y += 1) {
      for (let x = 0; x < SAMPLE; x += 1) {
        if (x > 0 && x < SAMPLE - 1 && y > 0) continue;
        for (let c = 0; c < 3; c += 1) sum[c] += data[(y * SAMPLE + x) * 4 + c];
        count += 1;
      }
    }
    this.#root.style.setProperty("--tint", `rgb(${sum.map((s) => Math.round(s / count)).join(" ")})`);
  }
}

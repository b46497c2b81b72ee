// The live connection. It remembers how far it got, reconnects by itself, and asks for what it missed.
// It acknowledges each frame, so that the server sends a busy page fewer and fuller frames.

const SILENCE_MS = 3000; // the server sends every second at least: longer silence means a lost stream
const RETRY_MS = [200, 400, 800, 1500, 3000];

export class Stream extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.epoch = null;
    this.seq = -1;
    this.heard = Date.now();
    this.lost = Date.now(); // the time the stream was lost, null while it is up
    this.tries = 0;
    setInterval(() => this.#watch(), 500);
  }

  connect() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    const text = new TextDecoder();
    socket.onopen = () => {
      this.heard = Date.now();
      socket.send(JSON.stringify({ epoch: this.epoch, seq: this.seq }));
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      const message = JSON.parse(typeof data === "string" ? data : text.decode(data));
      this.heard = Date.now();
      if (message.t === "hello") this.#greeted(message);
      else this.#frame(message, socket);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.#retry();
    };
  }

  #greeted(message) {
    this.tries = 0;
    if (!message.resumed) this.seq = -1;
    this.epoch = message.epoch;
    this.dispatchEvent(new CustomEvent("hello", { detail: message }));
  }

  #frame(message, socket) {
    this.dispatchEvent(new CustomEvent("frame", { detail: message }));
    if (message.seq !== null) this.seq = message.seq; // null until the last part of a change
    if (this.lost !== null && message.seq !== null) {
      this.lost = null;
      this.dispatchEvent(new Event("found"));
    }
    if (socket.readyState === WebSocket.OPEN) socket.send("ack");
  }

  #retry() {
    this.#lose();
    const wait = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
    this.socket = null;
    setTimeout(() => this.connect(), wait * (0.8 + 0.4 * Math.random()));
  }

  #watch() {
    if (this.lost === null && Date.now() - this.heard > SILENCE_MS) this.#lose();
    // No packet reports some cuts, and the socket looks open forever. Close it and connect again.
    if (this.socket && this.socket.readyState <= WebSocket.OPEN && Date.now() - this.heard > 3 * SILENCE_MS) {
      const silent = this.socket;
      this.socket = null;
      this.heard = Date.now();
      silent.close();
      this.connect();
    }
  }

  #lose() {
    if (this.lost !== null) return;
    this.lost = this.heard;
    this.dispatchEvent(new Event("lost"));
  }
}

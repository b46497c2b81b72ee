// The live connection. It remembers how far it got, comes back by itself, and asks for what it missed; the server's frames are
// acknowledged one by one, so that a busy page is sent fewer and fuller ones.

const SILENCE_MS = 3000; // the server speaks at least every second: longer silence means the stream is lost
const RETRY_MS = [200, 400, 800, 1500, 3000];

export class Stream extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.epoch = null;
    this.seq = -1;
    this.heard = Date.now();
    this.lost = Date.now(); // since when there is no stream, null while there is
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
    if (message.seq !== null) this.seq = message.seq; // only with a change's last part is it held completely
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
    // A cut that no packet reports: the socket looks open for ever. Give it up and dial again.
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

// Runs one measurement of an npm client: node npm.cjs MEASUREMENT PACKAGE HOST NUMBER. It prints what the Go contestants print.
const fs = require('node:fs')

const [measurement, name, host, number] = process.argv.slice(2)
const n = Number(number)
console.error = () => {}

// connect opens one connection; each line goes to onLine.
const connect = {
  pterosocket(server, onLine) {
    const { pterosocket } = require('pterosocket')
    const socket = new pterosocket('http://' + host, 'x', server, false)
    socket.on('console_output', onLine)
    return new Promise((resolve) => {
      socket.on('status', () => resolve(socket))
      socket.connect()
    })
  },
  async jspteroapi(server, onLine) {
    const { Client } = require('jspteroapi')
    const socket = await new Client('http://' + host, 'x', undefined, true).startConsoleConnection(server)
    socket.on('console output', onLine)
    await new Promise((resolve) => socket.on('status', resolve))
    return socket
  },
}[name]

let finished = false
const done = (result) => {
  if (finished) return // what still comes while the process ends
  finished = true
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0))
}

const resident = () => Number(fs.readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const settle = async () => {
  await sleep(1000)
  for (let i = 0; i < 5; i++) global.gc()
  await sleep(500)
}

const measure = {
  async flood() {
    let count = 0, start, cpu
    await connect('flood-' + n, (line) => {
      if (line === 'END') {
        const seconds = Number(process.hrtime.bigint() - start) / 1e9
        const used = process.cpuUsage(cpu)
        done({ per_second: (count - 1) / seconds, cpu: (used.user + used.system) / (count - 1) })
      }
      if (count++ === 0) {
        start = process.hrtime.bigint()
        cpu = process.cpuUsage()
      }
    })
  },
  async idle() {
    const keep = (globalThis.keep = [await connect('idle', () => {})])
    await settle()
    const before = resident()
    for (let i = 0; i < n; i++) keep.push(await connect('idle', () => {}))
    await settle()
    done({ kib: (resident() - before) / n / 1024 })
  },
  async growth() {
    const before = resident()
    globalThis.keep = []
    for (let i = 0; i < n; i++) keep.push(await connect('live', () => {}))
    await settle()
    const cpu = process.cpuUsage()
    await sleep(6000)
    const used = process.cpuUsage(cpu)
    done({ cpu: (used.user + used.system) / 6e6, resident_mib: resident() / (1 << 20), kib: (resident() - before) / n / 1024 })
  },
  async latency() {
    const took = []
    await connect('pace-1000', (line) => {
      const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6))
      if (took.push(Number(now - BigInt(line.slice(3))) / 1000) < n) return
      const sorted = took.slice(n / 10).sort((a, b) => a - b)
      done({ p50: sorted[sorted.length >> 1], p99: sorted[Math.floor(sorted.length * 0.99)] })
    })
  },
}[measurement]
measure()

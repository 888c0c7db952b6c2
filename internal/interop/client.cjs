// Runs one of the npm clients: node client.cjs <package> <origin> <key> <server>. Events go to standard output, one JSON object a
// line; standard input has {"command": "..."} and {"power": "..."}, one a line.
const readline = require('node:readline')

const [name, origin, key, server] = process.argv.slice(2)
const tell = (event, arg) => process.stdout.write(JSON.stringify({ event, arg }) + '\n')

// Neither package catches all of its own failures; what reaches the top would end a user's program.
process.on('unhandledRejection', (err) => tell('CRASH', String(err?.message ?? err)))
process.on('uncaughtException', (err) => tell('CRASH', String(err?.message ?? err)))
console.error = () => {} // jspteroapi prints daemon errors there
console.warn = () => {}

// tap tells all events of an emitter, whatever their names.
function tap(emitter) {
  const emit = emitter.emit
  emitter.emit = (event, ...args) => {
    tell(String(event).replaceAll(' ', '_'), typeof args[0] === 'string' ? args[0] : '')
    return emit.call(emitter, event, ...args)
  }
  emitter.on('error', () => {}) // a user would listen
  return emitter
}

const start = {
  pterosocket() {
    const { pterosocket } = require('pterosocket')
    const socket = tap(new pterosocket(origin, key, server, false))
    socket.connect() // its promise is not the user's in the documented use either: the constructor calls it
    return {
      command: (line) => socket.writeCommand(line),
      power: (action) => socket.writePower(action),
    }
  },
  jspteroapi() {
    const { Client } = require('jspteroapi')
    let socket
    new Client(origin, key, undefined, true).startConsoleConnection(server).then((s) => (socket = tap(s)))
    return {
      command: (line) => socket.send('send command', line),
      power: (action) => socket.send('set state', action),
    }
  },
}

const client = start[name]()
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { command, power } = JSON.parse(line)
  if (command !== undefined) client.command(command)
  if (power !== undefined) client.power(power)
}).on('close', () => process.exit(0))

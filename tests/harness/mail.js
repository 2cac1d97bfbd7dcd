'use strict';
// An SMTP server that keeps what it gets, parsed by a library that is not ours.
const { SMTPServer } = require('smtp-server');
const { simpleParser } = require('mailparser');
const { poll } = require('./environment');

class MailSink {
  /** refuse: a function of the recipient's address; a text it returns refuses that recipient. */
  static async start({ refuse = () => undefined } = {}) {
    const sink = new MailSink();
    sink.mails = [];
    sink.server = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      logger: false,
      onRcptTo(address, _session, done) {
        const why = refuse(address.address);
        done(why ? Object.assign(new Error(why), { responseCode: 451 }) : undefined);
      },
      onData(stream, session, done) {
        const to = session.envelope.rcptTo.map((one) => one.address);
        simpleParser(stream).then((mail) => { sink.mails.push({ to, mail }); done(); }, done);
      },
    });
    await new Promise((resolve, reject) => {
      sink.server.once('error', reject);
      sink.server.listen(0, '127.0.0.1', resolve);
    });
    sink.server.on('error', () => {});
    sink.port = sink.server.server.address().port;
    sink.url = `smtp://127.0.0.1:${sink.port}`;
    return sink;
  }

  /** The mails to somebody whose subject fits; waits until there are `count`. */
  async to(address, subject = /./, count = 1) {
    const found = () => this.mails.filter(({ to, mail }) => to.includes(address) && subject.test(mail.subject ?? '')).map(({ mail }) => mail);
    await poll(() => found().length >= count, { what: `${count} mails to ${address} about ${subject}` });
    return found();
  }

  close() {
    return new Promise((resolve) => { this.server.close(resolve); });
  }
}

module.exports = { MailSink };

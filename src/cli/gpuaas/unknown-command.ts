import { Command } from 'commander';

/**
 * Lets a group that lists by default refuse a word that is none of its commands as such, with the nearest one. Without
 * this, the word is taken for an argument of the list.
 */
export function refuseUnknownCommands(group: Command): Command {
  return group.hook('preSubcommand', () => {
    const [word] = group.args;
    if (word === undefined || word.startsWith('-') || group.commands.some((each) => each.name() === word)) {
      return;
    }
    const withoutDefault = new Command(group.name()).copyInheritedSettings(group);
    for (const each of group.commands) {
      withoutDefault.command(each.name());
    }
    withoutDefault.parse([word], { from: 'user' });
  });
}

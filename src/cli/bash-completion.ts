/** The completion script for bash, made of the tables of commands and options. */
import { commandNames, specOf, type CommandName } from './command-table.ts';
import { generalOptions } from './help.ts';
import { optionTable, wordsOfOption, type OptionName, type OptionSpec } from './option-table.ts';
import { sortKeys } from './top-view.ts';

export function renderBashCompletion(): string {
  const cases = commandNames.map(
    (name) => `    ${name}) operands='${operandsOf(name)}' options='${optionsOf(name)}' ;;`,
  );
  return `# bash completion of cxm, printed by \`cxm completion bash\`.
_cxm() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command='' count=0 index
  local operands='' options='${optionWords(generalOptions())}' all='${commandNames.join(' ')}'
  # Of --option=value, bash makes three words.
  [[ $before == '=' ]] && before=\${COMP_WORDS[COMP_CWORD-2]}
  [[ $word == '=' ]] && word=''
  COMPREPLY=()
  case $before in
    ${valuePattern('node')}) COMPREPLY=($(compgen -W "$(cxm completion nodes 2>/dev/null)" -- "$word")); return ;;
    ${valuePattern('nodes')})
      COMPREPLY=($(compgen -P "\${word%"\${word##*,}"}" -W "$(cxm completion nodes 2>/dev/null)" -- "\${word##*,}"))
      return ;;
    ${valuePattern('sortKey')}) COMPREPLY=($(compgen -W '${sortKeys.join(' ')}' -- "$word")); return ;;
    ${valuePattern('file')})
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return ;;
    ${valuePattern('number')}) return ;;
  esac
  for ((index = 1; index < COMP_CWORD; index++)); do
    case \${COMP_WORDS[index]} in
      ${valuePattern()}) [[ \${COMP_WORDS[index+1]} == '=' ]] && ((index++)); ((index++)) ;;
      -*) ;;
      *) if [[ -z $command ]]; then command=\${COMP_WORDS[index]}; else ((count++)); fi ;;
    esac
  done
  # As cxm, it takes a prefix that only one has.
  if [[ " $all " != *" $command "* ]]; then
    local candidates=($(compgen -W "$all" -- "$command"))
    ((\${#candidates[@]} == 1)) && command=\${candidates[0]}
  fi
  case $command in
${cases.join('\n')}
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
    return
  fi
  if [[ -z $command ]]; then
    COMPREPLY=($(compgen -W "$all" -- "$word"))
    return
  fi
  operands=($operands)
  case \${operands[count]} in
    vm) COMPREPLY=($(compgen -W "$(cxm completion vms 2>/dev/null)" -- "$word")) ;;
    node) COMPREPLY=($(compgen -W "$(cxm completion nodes 2>/dev/null)" -- "$word")) ;;
    command) COMPREPLY=($(compgen -W "$all" -- "$word")) ;;
    *\\|*) COMPREPLY=($(compgen -W "\${operands[count]//|/ }" -- "$word")) ;;
  esac
}
complete -F _cxm cxm
`;
}

/** Its operands by what completes them, the last one again and again if there may be many. */
function operandsOf(name: CommandName): string {
  const { operands = [] } = specOf(name);
  return operands
    .flatMap(({ kind, choices, many }) => {
      const word = kind === 'choice' ? (choices ?? []).join('|') : kind === 'pattern' ? patternWord(name) : kind;
      return many === true ? Array.from({ length: 32 }, () => word) : [word];
    })
    .join(' ');
}

function patternWord(name: CommandName): string {
  return name === 'help' ? 'command' : 'vm';
}

function optionsOf(name: CommandName): string {
  return optionWords([...(specOf(name).options ?? []), ...generalOptions()]);
}

function optionWords(names: readonly OptionName[]): string {
  return names.map((name) => wordsOfOption(name).words.at(-1)).join(' ');
}

/** The options whose value is of that kind, or of any. */
function valuePattern(value?: NonNullable<OptionSpec['value']>): string {
  const table: Readonly<Record<string, OptionSpec>> = optionTable;
  const names = (Object.keys(optionTable) as OptionName[]).filter((name) => {
    const kind = table[name]?.value;
    return value === undefined ? kind !== undefined : kind === value;
  });
  return names.flatMap((name) => wordsOfOption(name).words).join(' | ');
}

/** Lines of columns: text to the left, figures to the right. */

/** The first row names the columns. Columns of which every cell below begins with a digit or `-` stand to the right. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const [head = [], ...body] = rows;
  const columns = head.map((title, column) => {
    const cells = body.map((row) => row[column] ?? '');
    return {
      width: Math.max(title.length, ...cells.map((cell) => cell.length)),
      isFigure: cells.length > 0 && cells.every((cell) => /^[\d-]/.test(cell) || cell === ''),
    };
  });
  const line = (row: readonly string[]): string =>
    columns.map(({ width, isFigure }, column) => (isFigure ? (row[column] ?? '').padStart(width) : (row[column] ?? '').padEnd(width))).join('  ');
  return rows.map((row) => `  ${line(row)}`.trimEnd());
}
